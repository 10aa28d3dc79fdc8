"""The rules about the whole."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Final

from orchestrator.domain.advice import costs, directories, schedules, timeouts, trend, work, workers
from orchestrator.domain.advice.facts import WholeFacts
from worker_client.contract.advice import Advice

Rule = Callable[[WholeFacts], Iterator[Advice]]
RULES: Final[tuple[Rule, ...]] = (
    schedules.collisions,
    schedules.failing,
    schedules.paused,
    directories.waits_long,
    directories.nobody_asks,
    directories.unanswered,
    work.first_attempts,
    timeouts.too_short_or_hung,
    timeouts.too_long,
    trend.failing_more,
    workers.leases_lost,
    costs.outliers,
    costs.rising,
)
_MOST: Final = 10
"""Of one code."""


def of_all(facts: WholeFacts, codes: Collection[str] | None = None) -> list[Advice]:
    """What to change, the heaviest first; up to ten of each code."""
    shown = Counter[str]()
    found = []
    everywhere = facts.within.patterns is None
    for rule in RULES:
        for one in rule(facts):
            about = everywhere or (one.work_directory is not None and facts.within.covers(one.work_directory))
            if about and (codes is None or one.code in codes) and shown[one.code] < _MOST:
                shown[one.code] += 1
                found.append(one)
    return sorted(found, key=lambda one: (-one.weight, one.code, one.work_directory or "", one.message))
