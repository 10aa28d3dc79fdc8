"""Work that fails at the first attempt: now and then, nearly always, or for good."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct, field

from orchestrator.domain.advice.facts import DECIDED, Try, WholeFacts
from orchestrator.domain.advice.telling import advice, examples
from worker_client.contract.advice import Advice
from worker_client.contract.enums import AttemptOutcome

_FEW: Final = 5
_SOME: Final = 10
_NEARLY_ALL: Final = 0.9
_OFTEN: Final = 0.25


class _Work(Struct):
    """The tasks of one work: those whose first attempt is known, those of them where it failed, those that completed."""

    one: Try
    known: set[int] = field(default_factory=set)
    failed_first: set[int] = field(default_factory=set)
    completed: set[int] = field(default_factory=set)
    failures: list[Try] = []


def first_attempts(facts: WholeFacts) -> Iterator[Advice]:
    """By how many tasks of a work fail at first, and how many of these pass later."""
    for work in _works([*facts.recent, *facts.before]):
        failed = len(work.failed_first)
        if not failed:
            continue
        tasks, passed = len(work.known), len(work.failed_first & work.completed)
        share = failed / tasks
        told: dict[str, Any] = {"work": work.one.work, "tasks": tasks, "failed_first": failed, "passed_later": passed}
        evidence = examples(work.failures)
        if tasks >= _FEW and failed == tasks and not work.completed:
            yield advice("never_succeeds", evidence, about=work.one, **told)
        elif tasks >= _FEW and share >= _NEARLY_ALL and passed >= failed / 2:
            yield advice("fails_first", evidence, about=work.one, **told)
        elif tasks >= _SOME and failed >= _FEW and share >= _OFTEN and passed >= failed / 2:
            yield advice("flaky", evidence, about=work.one, **told)


def _works(tries: list[Try]) -> list[_Work]:
    found: dict[tuple[Any, ...], _Work] = {}
    for one in tries:
        if one.outcome not in DECIDED:
            continue
        work = found.setdefault(one.like, _Work(one))
        if one.outcome is AttemptOutcome.COMPLETED:
            work.completed.add(one.task_id)
        if one.attempt == 1:
            work.known.add(one.task_id)
        if one.failed:
            work.failures.append(one)
            if one.attempt == 1:
                work.failed_first.add(one.task_id)
    return [work for work in found.values() if work.known]
