"""Time-outs that are too short for the work, or so long that what hangs is noticed late."""

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.domain.advice.facts import TIMEOUT, Try, WholeFacts
from orchestrator.domain.advice.telling import advice, examples
from orchestrator.domain.advice.timing import longest_of, roomy, tighter
from worker_client.contract.advice import Advice, Confidence
from worker_client.contract.enums import AttemptOutcome

_TIMED_OUT: Final = 2
_FEW: Final = 5
_MANY: Final = 20
_NEARLY: Final = 0.7
_FAR: Final = 0.1
_LONG_S: Final = 4 * 3600
_TIMES: Final = 50


def too_short_or_hung(facts: WholeFacts) -> Iterator[Advice]:
    """Where attempts ended by their time-out."""
    for some in _by_work(facts):
        over = [one for one in some if one.type == TIMEOUT]
        done = [one for one in some if one.outcome is AttemptOutcome.COMPLETED]
        if len(over) < _TIMED_OUT or len(done) < _FEW:
            continue
        timeout, longest = max(one.timeout_ms for one in over) / 1000, longest_of(done)
        told: dict[str, Any] = {
            "work": over[0].work,
            "timed_out": len(over),
            "timeout_seconds": timeout,
            "longest_seconds": longest,
        }
        evidence = examples([*over[:2], max(done, key=lambda one: one.took_ms)])
        if longest >= _NEARLY * timeout:
            yield advice("timeout_too_short", evidence, about=over[0], **told, suggested_seconds=roomy(timeout))
        elif longest <= _FAR * timeout:
            suggested, likely = tighter(longest), Confidence.LIKELY
            yield advice("hangs", evidence, about=over[0], confidence=likely, **told, suggested_seconds=suggested)


def too_long(facts: WholeFacts) -> Iterator[Advice]:
    """Where the time-out is hours, and many times what any attempt took."""
    for some in _by_work(facts):
        done = [one for one in some if one.outcome is AttemptOutcome.COMPLETED]
        timeout, longest = some[0].timeout_ms / 1000, longest_of(some)
        if len(done) >= _MANY and timeout >= _LONG_S and 0 < _TIMES * longest <= timeout:
            yield advice(
                "timeout_too_long",
                examples(sorted(done, key=lambda one: -one.took_ms)),
                about=some[0],
                work=some[0].work,
                timeout_seconds=timeout,
                longest_seconds=longest,
                samples=len(done),
                suggested_seconds=tighter(longest),
            )


def _by_work(facts: WholeFacts) -> list[list[Try]]:
    found: dict[tuple[Any, ...], list[Try]] = {}
    for one in (*facts.recent, *facts.before):
        found.setdefault(one.like, []).append(one)
    return list(found.values())
