"""The lifecycle of a task as a table: which verb takes a task from which status to which. Everything else is refused.

The diagram in docs/lifecycle.md is generated from it, and a test drives every pair of status and verb through a real store.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from worker_client.contract.enums import FINAL, Status
from worker_client.errors import Conflict


class Verb(StrEnum):
    """What can happen to a task."""

    CLAIM = "claim"
    HEARTBEAT = "heartbeat"
    LOG = "log"
    COMPLETE = "complete"
    FAIL = "fail"
    RELEASE = "release"
    PARK = "park"
    UNDELIVER = "undeliver"
    EXPIRE = "expire"
    PROMOTE = "promote"
    SATISFY = "satisfy"
    ORPHAN = "orphan"
    REVIVE = "revive"
    ANSWER = "answer"
    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"
    RETRY = "retry"
    EXECUTE = "execute"
    UPDATE = "update"
    DELETE = "delete"


_S = Status
DERIVED = frozenset({_S.BLOCKED, _S.PARKED, _S.SCHEDULED, _S.WAITING})
"""What a task that is neither running nor final can be: a function of its open parents, its hold and its due time."""
_SOON = frozenset({_S.WAITING, _S.SCHEDULED})
_GONE: frozenset[Status] = frozenset()


def _only(*statuses: Status) -> frozenset[Status]:
    return frozenset(statuses)


TRANSITIONS: Mapping[Verb, Mapping[Status, frozenset[Status]]] = MappingProxyType({
    Verb.CLAIM: {_S.WAITING: _only(_S.RUNNING)},
    Verb.HEARTBEAT: {_S.RUNNING: _only(_S.RUNNING)},
    Verb.LOG: {_S.RUNNING: _only(_S.RUNNING)},
    Verb.COMPLETE: {_S.RUNNING: _only(_S.COMPLETED)},
    Verb.FAIL: {_S.RUNNING: _SOON | {_S.PARKED, _S.FAILED, _S.CANCELLED}},
    Verb.RELEASE: {_S.RUNNING: _SOON | {_S.PARKED, _S.CANCELLED}},
    Verb.PARK: {_S.RUNNING: _only(_S.PARKED, _S.CANCELLED)},
    Verb.UNDELIVER: {_S.RUNNING: _only(_S.WAITING, _S.CANCELLED)},
    Verb.EXPIRE: {_S.RUNNING: _SOON | {_S.PARKED, _S.FAILED, _S.CANCELLED}},
    Verb.PROMOTE: {_S.SCHEDULED: _only(_S.WAITING), _S.PARKED: _SOON | {_S.PARKED}},
    Verb.SATISFY: {_S.BLOCKED: DERIVED - {_S.BLOCKED}},
    Verb.ORPHAN: {_S.BLOCKED: _only(_S.CANCELLED)},
    Verb.REVIVE: {_S.CANCELLED: _only(_S.BLOCKED)},
    Verb.ANSWER: {_S.PARKED: _SOON | {_S.PARKED}},
    Verb.APPROVE: {_S.PARKED: _SOON | {_S.PARKED}, _S.BLOCKED: _only(_S.BLOCKED)},
    Verb.REJECT: {_S.PARKED: _only(_S.CANCELLED), _S.BLOCKED: _only(_S.CANCELLED)},
    Verb.CANCEL: {**dict.fromkeys(DERIVED, _only(_S.CANCELLED)), _S.RUNNING: _only(_S.RUNNING)},
    Verb.RETRY: {
        _S.COMPLETED: _only(_S.WAITING, _S.PARKED),
        _S.FAILED: _only(_S.WAITING, _S.PARKED),
        _S.CANCELLED: _only(_S.WAITING, _S.BLOCKED, _S.PARKED),
    },
    Verb.EXECUTE: {
        _S.SCHEDULED: _only(_S.WAITING),
        _S.WAITING: _only(_S.WAITING),
        _S.PARKED: _only(_S.WAITING, _S.PARKED),
    },
    Verb.UPDATE: {
        _S.WAITING: _SOON | {_S.PARKED},
        _S.SCHEDULED: _SOON | {_S.PARKED},
        _S.BLOCKED: _only(_S.BLOCKED),
        _S.PARKED: _SOON | {_S.PARKED},
    },
    Verb.DELETE: dict.fromkeys(DERIVED | FINAL, _GONE),
})  # fmt: skip

LEASED = frozenset({Verb.HEARTBEAT, Verb.LOG, Verb.COMPLETE, Verb.FAIL, Verb.RELEASE, Verb.PARK})
"""Verbs of whoever holds the lease: refused with LEASE_LOST, not CONFLICT."""

_REMEDY: Mapping[Verb, str] = MappingProxyType({
    Verb.RETRY: "only a failed, cancelled or completed task can be retried",
    Verb.EXECUTE: "only a task that is waiting, scheduled or parked for a time can be made due now",
    Verb.CANCEL: "it has already ended",
    Verb.DELETE: "cancel it first, and wait until the worker has stopped",
    Verb.UPDATE: "only a task that is neither running nor final can be changed",
    Verb.ANSWER: "only a task that is parked with a question can be answered",
    Verb.APPROVE: "only a task that waits for an approval can be approved",
    Verb.REJECT: "only a task that waits for an approval can be rejected",
})  # fmt: skip


def permit(verb: Verb, status: Status, task_id: int) -> None:
    """Raise Conflict when a task of this status can't be subject to the verb."""
    if status not in TRANSITIONS[verb]:
        remedy = _REMEDY.get(verb, f"a {status} task takes no {verb}")
        raise Conflict(f"task {task_id} is {status}: {remedy}", task_id=task_id, status=str(status))


def derive(*, open_parents: bool, held: bool, due_at: int | None, now: int) -> Status:
    """The status of a task that is neither running nor final, from the facts about it (times in ms)."""
    if open_parents:
        return Status.BLOCKED
    if held:
        return Status.PARKED
    if due_at is not None and due_at > now:
        return Status.SCHEDULED
    return Status.WAITING
