"""How a run of a task can end, and what is reported to the server for it."""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from worker_client import endpoints
from worker_client.contract import reports, tasks
from worker_client.contract.enums import ParkReason
from worker_client.contract.reports import Usage
from worker_client.endpoints import Call
from worker_client.output import storable

MOST_EVIDENCE: Final = 60_000
"""Bytes of evidence as JSON; the server takes a little more, and refuses the whole report that has too much."""


def fitting(evidence: dict[str, Any]) -> dict[str, Any]:
    """The evidence without its longest facts, when all of them would be too much."""
    sizes = {name: len(msgspec.json.encode({name: fact})) for name, fact in evidence.items()}
    kept = dict(evidence)
    while sum(sizes[name] for name in kept) > MOST_EVIDENCE:
        del kept[max(kept, key=lambda name: sizes[name])]
    return {**kept, "left_out": sorted(sizes.keys() - kept)} if len(kept) < len(evidence) else kept


class Done(Struct, frozen=True):
    """The work is done; `result` is any JSON, `evidence` facts about the attempt."""

    result: Any = None
    usage: Usage | None = None
    evidence: dict[str, Any] = {}

    def report(self, task_id: int, lease: str) -> Call[tasks.Task]:
        """The call that says so."""
        body = reports.Complete(lease=lease, result=self.result, usage=self.usage, evidence=fitting(self.evidence))
        return endpoints.complete(task_id, body)


class Failed(Struct, frozen=True, kw_only=True):
    """The work failed; `retry_after` in seconds instead of the task's own backoff."""

    type: str = "Error"
    message: str = ""
    details: dict[str, Any] = {}
    retryable: bool = True
    retry_after: float | None = None
    usage: Usage | None = None
    evidence: dict[str, Any] = {}

    def report(self, task_id: int, lease: str) -> Call[tasks.Task]:
        """The call that says so."""
        error = reports.TaskError(type=self.type[:255], message=storable(self.message)[:100_000], details=self.details)
        body = reports.Fail(
            lease=lease,
            error=error,
            retryable=self.retryable,
            retry_after_seconds=self.retry_after,
            usage=self.usage,
            evidence=fitting(self.evidence),
        )
        return endpoints.fail(task_id, body)


class Parked(Struct, frozen=True, kw_only=True):
    """The work waits for something outside: a time, an answer, an approval; costs no attempt."""

    reason: ParkReason = ParkReason.QUESTION
    not_before: datetime | None = None
    account: str | None = None
    question: str | None = None
    options: list[str] = []
    session_id: str | None = None
    agent: str | None = None
    message: str | None = None
    usage: Usage | None = None
    evidence: dict[str, Any] = {}

    def report(self, task_id: int, lease: str) -> Call[tasks.Task]:
        """The call that says so."""
        body = reports.Park(
            lease=lease,
            reason=self.reason,
            not_before=self.not_before,
            account=self.account,
            question=self.question,
            options=self.options,
            session_id=self.session_id,
            agent=self.agent,
            message=self.message,
            usage=self.usage,
            evidence=fitting(self.evidence),
        )
        return endpoints.park(task_id, body)


class Released(Struct, frozen=True):
    """The work is given back unfinished; costs no attempt. `stop`: the worker can do none like it, so it asks for no more."""

    reason: str
    not_before: datetime | None = None
    stop: bool = False
    usage: Usage | None = None
    evidence: dict[str, Any] = {}

    def report(self, task_id: int, lease: str) -> Call[tasks.Task]:
        """The call that says so."""
        body = reports.Release(
            lease=lease,
            reason=self.reason[:10_000],
            not_before=self.not_before,
            usage=self.usage,
            evidence=fitting(self.evidence),
        )
        return endpoints.release(task_id, body)


Outcome = Done | Failed | Parked | Released
