"""The rules about one task."""

from collections.abc import Callable, Iterator
from typing import Final

from orchestrator.domain.advice import failures, history
from orchestrator.domain.advice.facts import TaskFacts
from worker_client.contract.advice import Advice, Confidence, TaskAdvice

Rule = Callable[[TaskFacts], Iterator[Advice]]
RULES: Final[tuple[Rule, ...]] = (
    failures.ended,
    failures.held,
    failures.read,
    history.timed_out,
    history.lease_lost,
    history.repeated,
    history.elsewhere,
)
_HISTORY: Final = {"same_error", "different_errors", "others_fail", "only_this"}
"""What tells how it fails, not why."""
_SURE: Final = tuple(Confidence)


def of_task(facts: TaskFacts) -> TaskAdvice:
    """Why a task failed, the heaviest reason first; of each code the surest."""
    found: dict[str, Advice] = {}
    for rule in RULES:
        for one in rule(facts):
            known = found.get(one.code)
            if known is None or better(one, known):
                found[one.code] = one
    reasons = [one for one in found.values() if one.code not in _HISTORY]
    items = sorted([*found.values(), *failures.unexplained(facts, reasons)], key=lambda one: (-one.weight, one.code))
    for one in items:
        one.task_id = facts.id
        one.work_directory = facts.path
    return TaskAdvice(id=facts.id, status=facts.status, summary=_summary(facts, items), items=items)


def better(one: Advice, other: Advice) -> bool:
    """Whether it says more: it names its facts, or is surer."""
    named, known = (all(value is not None for value in advice.facts.values()) for advice in (one, other))
    return (named, -_SURE.index(one.confidence)) > (known, -_SURE.index(other.confidence))


def _summary(facts: TaskFacts, items: list[Advice]) -> str:
    reason = next((one for one in items if one.code not in _HISTORY), None)
    if reason is not None:
        return reason.message
    return "No attempt of it failed." if facts.last is None else "It failed, and nothing that is known explains it."
