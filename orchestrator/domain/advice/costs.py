"""What costs far more than usual."""

from collections.abc import Iterator
from statistics import median
from typing import Any, Final

from orchestrator.domain.advice.facts import Try, WholeFacts
from orchestrator.domain.advice.telling import advice, told
from worker_client.contract.advice import Advice, Evidence

_SAMPLES: Final = 10
_TIMES: Final = 5
_LEAST_USD: Final = 1.0
_DAYS: Final = 3
_TIMES_A_DAY: Final = 3
_LEAST_A_DAY: Final = 5.0


def outliers(facts: WholeFacts) -> Iterator[Advice]:
    """Attempts of the last day that cost at least a dollar, and five times what is usual for such work."""
    groups: dict[tuple[Any, ...], list[Try]] = {}
    for one in (*facts.recent, *facts.before):
        if one.cost_usd > 0:
            groups.setdefault(one.like, []).append(one)
    found = []
    for some in groups.values():
        usual = median(one.cost_usd for one in some)
        if len(some) >= _SAMPLES:
            over = [one for one in some if one.cost_usd >= max(_LEAST_USD, _TIMES * usual) and _today(one, facts)]
            found += [(one, usual, len(some)) for one in over]
    for one, usual, samples in sorted(found, key=lambda row: -row[0].cost_usd):
        facts_of: dict[str, Any] = {"task_id": one.task_id, "cost_usd": one.cost_usd, "usual_usd": usual, "samples": samples}
        made = advice("cost_outlier", [told(one)], about=one, **facts_of)
        made.task_id = one.task_id
        yield made


def _today(one: Try, facts: WholeFacts) -> bool:
    return bool(facts.recent) and one.ended_at >= facts.recent[-1].ended_at


def rising(facts: WholeFacts) -> Iterator[Advice]:
    """Directories that cost three times as much today as on the days before, and at least five dollars."""
    for one in facts.spending:
        if one.days >= _DAYS and one.today_usd >= max(_LEAST_A_DAY, _TIMES_A_DAY * one.usual_usd):
            text = f"{one.path}: ${one.today_usd:,.2f} today (UTC), ${one.usual_usd:,.2f} on average on {one.days} days"
            made = advice(
                "cost_rising",
                [Evidence(text=text)],
                path=one.path,
                today_usd=one.today_usd,
                usual_usd=one.usual_usd,
                days=one.days,
            )
            made.work_directory = one.path
            yield made
