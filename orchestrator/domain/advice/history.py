"""Why a task failed, by its earlier attempts and by what became of others like it."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from orchestrator.domain.advice.facts import LEASE_EXPIRED, TIMEOUT, TaskFacts, Try, alike, brief
from orchestrator.domain.advice.telling import advice, examples, told
from orchestrator.domain.advice.timing import longest_of, roomy, tighter
from orchestrator.domain.moments import moment
from worker_client.contract.advice import Advice, Confidence
from worker_client.contract.enums import AttemptOutcome

_ENOUGH: Final = 5
"""Attempts of others that say how long such work takes."""
_NEARLY: Final = 0.5
_FAR: Final = 0.2
"""Of the time-out: what others take that are nearly as slow, and far from it."""


def timed_out(facts: TaskFacts) -> Iterator[Advice]:
    """What the time-out was too short for, or what hung."""
    last = facts.last
    if last is None or last.type != TIMEOUT:
        return
    timeout = facts.timeout_ms / 1000
    done = [one for one in facts.alike if one.outcome is AttemptOutcome.COMPLETED]
    longest = longest_of(done)
    evidence = [told(last), *examples(sorted(done, key=lambda one: -one.took_ms))]
    told_of: dict[str, Any] = {"timeout_seconds": timeout, "longest_seconds": longest, "samples": len(done)}
    if len(done) >= _ENOUGH and longest >= _NEARLY * timeout:
        yield advice("timeout_short", evidence, **told_of, suggested_seconds=roomy(timeout))
    elif len(done) >= _ENOUGH and longest <= _FAR * timeout:
        yield advice("timeout_hung", evidence, confidence=Confidence.LIKELY, **told_of, suggested_seconds=tighter(longest))
    else:
        yield advice("timed_out", [told(last)], timeout_seconds=timeout)


def lease_lost(facts: TaskFacts) -> Iterator[Advice]:
    """How often its worker died, and which."""
    lost = [one for one in facts.tries if one.type == LEASE_EXPIRED]
    if lost and facts.last is not None and facts.last.type == LEASE_EXPIRED:
        workers = list(dict.fromkeys(brief(one.worker_id) for one in lost))
        yield advice("lease_lost", examples(lost[::-1]), times=len(lost), workers=workers)


def repeated(facts: TaskFacts) -> Iterator[Advice]:
    """Whether its attempts failed alike."""
    failed = [one for one in facts.tries if one.failed]
    if len(failed) < 2:
        return
    ways = len({_error(one) for one in failed})
    if ways == 1:
        yield advice("same_error", examples(failed[::-1]), times=len(failed))
    else:
        yield advice("different_errors", examples(failed[::-1]), times=len(failed), ways=ways)


def elsewhere(facts: TaskFacts) -> Iterator[Advice]:
    """Whether others of the directory fail so, too, or those of the same work complete."""
    last = facts.last
    if last is None:
        return
    same = [one for one in facts.others if one.failed and _error(one) == _error(last)]
    tasks = {one.task_id for one in same}
    if len(tasks) >= 2:
        first = min(same, key=lambda one: one.ended_at)
        since = moment(first.ended_at).isoformat(timespec="seconds").replace("+00:00", "Z")
        yield advice("others_fail", examples(same), tasks=len(tasks), since=since, confidence=Confidence.LIKELY)
    latest = list(_latest(facts.alike))[:_ENOUGH]
    if len(latest) >= _ENOUGH and all(one.outcome is AttemptOutcome.COMPLETED for one in latest):
        yield advice("only_this", examples(latest), samples=len(latest), confidence=Confidence.LIKELY)


def _latest(some: list[Try]) -> Iterator[Try]:
    """The last attempt of each task, the latest first."""
    ordered = sorted(some, key=lambda one: (-one.task_id, -one.attempt))
    yield from (next(group) for _, group in groupby(ordered, key=lambda one: one.task_id))


def _error(one: Try) -> tuple[str, str]:
    return one.type, alike(one.message)
