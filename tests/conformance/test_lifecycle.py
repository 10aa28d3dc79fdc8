"""The lifecycle table is exactly what a store accepts: every verb is driven against every status."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.budgets import Budget
from orchestrator.domain.lifecycle import LEASED, TRANSITIONS, Verb
from orchestrator.domain.outcomes import Outcome
from orchestrator.domain.task import Outputs
from orchestrator.store.rows import HEAD_FIELDS
from tests.rig import HOUR, START, Rig
from worker_client.contract.enums import LogStream, Status
from worker_client.errors import Conflict, LeaseLost, OrchestratorError

LATER = START + 1_000 * HOUR


class Subject(NamedTuple):
    """A task in a status, its one parent, and the latest lease on it (or one that never was)."""

    id: int
    parent: int
    lease: str
    path: str


class Case:
    """Makes subjects, each in a directory of its own."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._made = 0

    def new(self, *, blocked: bool = False, **facts: Any) -> Subject:
        self._made += 1
        path, rig = f"/case/{self._made}", self.rig
        parent = rig.running(f"/parent/{self._made}", lease_ms=10**12, timeout_ms=10**12)
        task_id = rig.add(path, depends_on=(parent.task_id,), **facts)
        if not blocked:
            rig.do(ops.Complete(task_id=parent.task_id, lease=parent.lease))
        return Subject(task_id, parent.task_id, f"{task_id}.1.0000000000000000", path)

    def running(self, *, confirm_ms: int | None = None, **facts: Any) -> Subject:
        subject = self.new(**facts)
        return self.claimed(subject, confirm_ms=confirm_ms)

    def claimed(self, subject: Subject, **facts: Any) -> Subject:
        return subject._replace(lease=self.rig.take(subject.path, **facts).lease)

    def then(self, subject: Subject, op: type[ops.Operation], **facts: Any) -> Subject:
        self.rig.do(op(task_id=subject.id, **facts))
        return subject

    def spent(self) -> Subject:
        """A running task whose budget is used up."""
        subject = self.running(budget=Budget(tokens=10).text)
        return self.then(subject, ops.Heartbeat, lease=subject.lease, outputs=Outputs(usage_now='{"input_tokens": 10}'))

    def parked(self, hold: str, *, spent: bool = False, **facts: Any) -> Subject:
        subject = self.spent() if spent else self.running()
        return self.then(subject, ops.Park, lease=subject.lease, hold=hold, **facts)


def orphaned(case: Case) -> Subject:
    subject = case.new(blocked=True)
    (lease,) = case.rig.fetch("SELECT lease_no, nonce FROM tasks WHERE id = ?", [subject.parent])
    text = f"{subject.parent}.{lease[0]}.{lease[1]}"
    case.rig.do(ops.Fail(task_id=subject.parent, lease=text, error="{}", retryable=False))
    return subject


BUILDERS: dict[Status, list[Callable[[Case], Subject]]] = {
    Status.WAITING: [Case.new, lambda case: case.then(released := case.running(), ops.Release, lease=released.lease)],
    Status.SCHEDULED: [
        lambda case: case.new(delay_ms=HOUR),
        lambda case: case.then(failed := case.running(), ops.Fail, lease=failed.lease, error="{}"),
    ],
    Status.BLOCKED: [
        lambda case: case.new(blocked=True),
        lambda case: case.new(blocked=True, delay_ms=HOUR),
        lambda case: case.new(blocked=True, requires_approval=True),
    ],
    Status.RUNNING: [
        Case.running,
        lambda case: case.running(confirm_ms=1_000),
        lambda case: case.running(backoff='{"base_seconds": 0}'),
        lambda case: case.running(max_attempts=1),
        lambda case: case.then(case.running(), ops.Cancel),
        Case.spent,
    ],
    Status.PARKED: [
        lambda case: case.new(requires_approval=True),
        lambda case: case.new(requires_approval=True, delay_ms=HOUR),
        lambda case: case.parked("quota"),
        lambda case: case.parked("budget"),
        lambda case: case.parked("approval"),
        lambda case: case.parked("question"),
        lambda case: case.parked("question", not_before=START + HOUR),
        lambda case: case.then(case.parked("question"), ops.Update, run_at=LATER),
        lambda case: case.then(case.parked("quota"), ops.Update, run_at=LATER),
        lambda case: case.then(case.parked("budget"), ops.Update, run_at=LATER),
        *(partial(Case.parked, hold=hold, spent=True) for hold in ("quota", "budget", "approval", "question")),
    ],
    Status.COMPLETED: [
        lambda case: case.then(done := case.running(), ops.Complete, lease=done.lease),
        lambda case: case.then(done := case.spent(), ops.Complete, lease=done.lease),
    ],
    Status.FAILED: [
        lambda case: case.then(bad := case.running(), ops.Fail, lease=bad.lease, error="{}", retryable=False),
        lambda case: case.then(bad := case.spent(), ops.Fail, lease=bad.lease, error="{}", retryable=False),
    ],
    Status.CANCELLED: [
        lambda case: case.then(case.new(), ops.Cancel),
        lambda case: case.then(case.new(blocked=True), ops.Cancel),
        lambda case: case.then(case.new(requires_approval=True), ops.Reject),
        orphaned,
    ],
}


@contextmanager
def rules(rig: Rig, **facts: Any) -> Iterator[None]:
    before = rig.rules
    rig.rules = replace(before, **facts)
    try:
        yield
    finally:
        rig.rules = before


def release_for_the_last_time(rig: Rig, subject: Subject) -> Outcome:
    with rules(rig, max_releases=1):
        return rig.do(ops.Release(task_id=subject.id, lease=subject.lease))


def expire(rig: Rig, subject: Subject) -> Outcome:
    rig.time.at = max(rig.time.at, rig.head(subject.id).expire_at or 0)
    return rig.do(ops.Expire(limit=10_000))


def promote(rig: Rig, subject: Subject) -> Outcome:
    head = rig.head(subject.id)
    due = head.hold_until if head.status is Status.PARKED else head.due_at
    rig.time.at = max(rig.time.at, min(due or 0, LATER - 1))
    return rig.do(ops.Promote(limit=10_000))


def revive(rig: Rig, subject: Subject) -> Outcome:
    if rig.status(subject.parent).final:
        return rig.do(ops.Retry(task_id=subject.parent))
    return rig.do(ops.Revive(task_id=subject.parent))


def of_task(op: type[ops.Operation], **facts: Any) -> Callable[[Rig, Subject], Outcome]:
    return lambda rig, subject: rig.do(op(task_id=subject.id, **facts))


def of_lease(op: type[ops.Operation], **facts: Any) -> Callable[[Rig, Subject], Outcome]:
    return lambda rig, subject: rig.do(op(task_id=subject.id, lease=subject.lease, **facts))


def of_parent(op: type[ops.Operation]) -> Callable[[Rig, Subject], Outcome]:
    return lambda rig, subject: rig.do(op(task_id=subject.parent))


LINE = ops.LogLine("hello", LogStream.STDOUT, None)
WAYS: dict[Verb, list[Callable[[Rig, Subject], Any]]] = {
    Verb.CLAIM: [lambda rig, subject: rig.claim(subject.path, worker="other")],
    Verb.HEARTBEAT: [of_lease(ops.Heartbeat)],
    Verb.LOG: [of_lease(ops.AppendLogs, lines=(LINE,))],
    Verb.COMPLETE: [of_lease(ops.Complete), of_lease(ops.Complete, result='{"a": 1}')],
    Verb.FAIL: [
        of_lease(ops.Fail, error="{}"),
        of_lease(ops.Fail, error="{}", retryable=False),
        of_lease(ops.Fail, error="{}", retry_after_ms=0),
    ],
    Verb.RELEASE: [of_lease(ops.Release), of_lease(ops.Release, not_before=LATER), release_for_the_last_time],
    Verb.PARK: [of_lease(ops.Park, hold="quota"), of_lease(ops.Park, hold="question")],
    Verb.UNDELIVER: [of_lease(ops.Undeliver, delivery_no=1)],
    Verb.EXPIRE: [expire],
    Verb.PROMOTE: [promote],
    Verb.SATISFY: [of_parent(ops.Satisfy)],
    Verb.ORPHAN: [of_parent(ops.Orphan)],
    Verb.REVIVE: [revive],
    Verb.ANSWER: [of_task(ops.Answer, answer='"yes"')],
    Verb.APPROVE: [of_task(ops.Approve)],
    Verb.REJECT: [of_task(ops.Reject)],
    Verb.CANCEL: [of_task(ops.Cancel)],
    Verb.RETRY: [of_task(ops.Retry)],
    Verb.EXECUTE: [of_task(ops.Execute)],
    Verb.UPDATE: [
        of_task(ops.Update, title="new"),
        of_task(ops.Update, run_at=LATER),
        of_task(ops.Update, run_at=None),
        of_task(ops.Update, budget=(0, None)),
        of_task(ops.Update, budget=(1_000, None)),
    ],
    Verb.DELETE: [of_task(ops.Delete)],
}
ASKED = set(Verb) - {Verb.CLAIM, Verb.UNDELIVER, Verb.EXPIRE, Verb.PROMOTE, Verb.SATISFY, Verb.ORPHAN, Verb.REVIVE}
"""Verbs that are refused with an error; the others find nothing to do."""


def stored(rig: Rig, subject: Subject) -> list[Any]:
    """Everything that is known of a task."""
    tables = {"tasks": "id", "task_inputs": "task_id", "task_outputs": "task_id", "attempts": "task_id", "task_logs": "task_id"}
    names = {**tables, "events": "task_id"}
    return [rig.fetch(f"SELECT * FROM {table} WHERE {column} = ?", [subject.id]) for table, column in names.items()]  # noqa: S608 - names are ours


def moved(before: list[Any], after: list[Any]) -> bool:
    """Whether a task has another status, or is gone."""
    status = HEAD_FIELDS.index("status")
    return not after[0] or bool(after[0][0][status] != before[0][0][status])


def test_the_table_is_what_the_store_does(rig: Rig) -> None:
    case = Case(rig)
    reached: dict[Verb, dict[Status, set[Status]]] = {verb: defaultdict(set) for verb in Verb}
    for status, builders in BUILDERS.items():
        for verb, ways in WAYS.items():
            allowed = TRANSITIONS[verb].get(status)
            for build in builders:
                for way in ways:
                    rig.time.at = min(rig.time.at, LATER - 100 * HOUR)
                    subject = build(case)
                    assert rig.status(subject.id) is status
                    before = stored(rig, subject)
                    refusal = None
                    try:
                        way(rig, subject)
                    except OrchestratorError as error:
                        refusal = error
                    after = stored(rig, subject)
                    told = f"{verb} of a {status} task"
                    if refusal is not None:
                        assert verb in ASKED, told
                        assert isinstance(refusal, LeaseLost if verb in LEASED else Conflict), told
                    if refusal is not None or allowed is None:
                        assert after == before, f"{told} was refused, but changed something"
                        assert allowed is not None or verb not in ASKED or refusal is not None, f"{told} was accepted"
                    elif not after[0]:
                        assert allowed == frozenset(), f"{told} removed it"
                        reached[verb][status] |= set()
                    elif after != before:
                        target = rig.status(subject.id)
                        assert target in allowed, f"{told} led to {target}"
                        reached[verb][status].add(target)
                    events = len(after[-1]) - len(before[-1])
                    assert events == 1 if moved(before, after) else events in {0, 1}, f"{told} wrote {events} events"
    expected = {verb: {status: set(targets) for status, targets in row.items()} for verb, row in TRANSITIONS.items()}
    assert {verb: dict(row) for verb, row in reached.items()} == expected
