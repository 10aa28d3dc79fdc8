"""What fails more than before: a test of two proportions over tasks, since the attempts of one task tell the same."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from orchestrator.domain.advice.facts import DECIDED, Try, WholeFacts
from orchestrator.domain.advice.telling import advice, examples
from orchestrator.domain.moments import moment
from worker_client.contract.advice import Advice, Confidence

_RECENT: Final = 10
_BEFORE: Final = 20
"""Tasks without which nothing is said."""
_FAILED: Final = 5
_MORE: Final = 0.1
_TIMES: Final = 1.5
_SURE: Final = 3.3
"""Standard errors: by chance once in 2,000, as many directories are compared at once."""


def failing_more(facts: WholeFacts) -> Iterator[Advice]:
    """By directory, schedule and agent: the last day against the week before."""
    for of in (_directory, _schedule, _agent):
        before = _outcomes(facts.before, of)
        for what, tries in _outcomes(facts.recent, of).items():
            yield from _compared(what, tries, before.get(what, []), facts)


def more(failed: int, tasks: int, failed_before: int, tasks_before: int) -> bool:
    """Whether clearly more fail than before, for a reason other than chance."""
    if tasks < _RECENT or tasks_before < _BEFORE or failed < _FAILED:
        return False
    share, share_before = failed / tasks, failed_before / tasks_before
    if share < share_before + _MORE or share < share_before * _TIMES:
        return False
    pooled = (failed + failed_before) / (tasks + tasks_before)
    error = math.sqrt(pooled * (1 - pooled) * (1 / tasks + 1 / tasks_before))
    # Without any error all failed, before and now.
    return error > 0 and (share - share_before) / error >= _SURE


def _compared(what: str, recent: list[Try], before: list[Try], facts: WholeFacts) -> Iterator[Advice]:
    failures = [one for one in recent if one.failed]
    failed_before = sum(one.failed for one in before)
    if not more(len(failures), len(recent), failed_before, len(before)):
        return
    since = min(one.ended_at for one in recent)
    yield advice(
        "failing_more",
        examples(failures),
        confidence=Confidence.LIKELY,
        about=recent[0],
        what=what,
        failed=len(failures),
        tasks=len(recent),
        failed_before=failed_before,
        tasks_before=len(before),
        recent_seconds=max(1, (facts.now - since) // 1000),
        since=moment(min(one.ended_at for one in failures)).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )


def _outcomes(tries: Iterable[Try], of: Callable[[Try], str | None]) -> dict[str, list[Try]]:
    """The last decided attempt of each task, by what it belongs to; the newest come first."""
    found: dict[str, dict[int, Try]] = {}
    for one in tries:
        if one.outcome in DECIDED and (what := of(one)) is not None:
            found.setdefault(what, {}).setdefault(one.task_id, one)
    return {what: list(tasks.values()) for what, tasks in found.items()}


def _directory(one: Try) -> str:
    return f"directory {one.path}" + (f" on {one.host}" if one.host else "")


def _schedule(one: Try) -> str | None:
    return None if one.schedule_id is None else f"schedule {one.schedule_id}"


def _agent(one: Try) -> str | None:
    return f"agent {one.agent}" if one.agent else None
