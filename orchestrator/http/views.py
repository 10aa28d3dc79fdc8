"""Tasks of the domain as the contract shows them: objects with the fields of its Structs, in their order.

They are on the way of every call, so no Struct is built only to be encoded, and JSON columns go out as the text that they are.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Raw

from orchestrator.domain import budgets
from orchestrator.domain.accounts import add_usage
from orchestrator.domain.drafting import backoff_text
from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.outcomes import Grant
from orchestrator.domain.task import Head, Outputs, TaskView
from orchestrator.doors.secrets import Secrets
from orchestrator.store.reads.values import PRIORITIES, error_of, usage_of
from worker_client.contract.enums import ParkReason, Status
from worker_client.contract.reports import Progress, TaskError
from worker_client.contract.tasks import Backoff, Parked, TaskBudget, TaskState

_encode = msgspec.json.Encoder().encode
_decode_strings = msgspec.json.Decoder(list[str]).decode
_decode_progress = msgspec.json.Decoder(Progress | None).decode


_EMPTY: Final[Any] = Raw(b"{}")
_NO_LIST: Final[Any] = Raw(b"[]")
_DEFAULT_BACKOFF: Final[Any] = Raw(backoff_text(Backoff()))


Shown = dict[str, Any]
# The tasks of one commit share their times.
_moment = lru_cache(8192)(moment)


def created(view: TaskView, *, new: bool) -> Shown:
    """A CreatedTask: one that was created, or found by its key."""
    shown = task(view)
    shown["created"] = new
    return shown


def claimed(view: TaskView, grant: Grant, secrets: Secrets) -> Shown:
    """A ClaimedTask: with the right to work on it, and the secrets that it asks for."""
    shown = task(secrets.delivered(view))
    shown["lease"] = grant.lease
    shown["delivery_no"] = grant.delivery_no
    shown["traceparent"] = view.head.traceparent
    return shown


def state(view: TaskView) -> TaskState:
    """The status of a task."""
    head, progress = view.head, view.outputs.progress
    return TaskState(
        id=head.id,
        status=head.status,
        version=head.version,
        attempt=head.attempt,
        progress=None if progress is None else _decode_progress(progress),
        finished_at=perhaps(head.finished_at),
    )


def task(view: TaskView) -> Shown:
    """A Task."""
    head, inputs, outputs = view.head, view.inputs, view.outputs
    lease_ends_at, started_at, finished_at = head.lease_ends_at, head.started_at, head.finished_at
    return {
        "id": head.id,
        "version": head.version,
        "status": head.status,
        "work_directory": head.path,
        "host": head.host,
        "kind": head.kind,
        "title": head.title,
        "prompt": inputs.prompt,
        "description": inputs.description,
        "priority": PRIORITIES[head.priority],
        "tags": head.tags,
        "spec": _raw(inputs.spec),
        "environment": _EMPTY if inputs.environment == "{}" else Raw(inputs.environment),
        "resource_limits": _EMPTY if inputs.resource_limits == "{}" else Raw(inputs.resource_limits),
        "metadata": _EMPTY if inputs.metadata == "{}" else Raw(inputs.metadata),
        "exclusive": bool(head.exclusive),
        "requires_approval": bool(inputs.requires_approval),
        "depends_on": _NO_LIST if inputs.depends_on == "[]" else Raw(inputs.depends_on),
        "key": inputs.key,
        "max_attempts": head.max_attempts,
        "timeout_seconds": head.timeout_ms / 1000,
        "backoff": _DEFAULT_BACKOFF if head.backoff is None else Raw(head.backoff),
        "attempt": head.attempt,
        "lease_no": head.lease_no,
        "worker_id": head.worker_id,
        "lease_expires_at": None if lease_ends_at is None else _moment(lease_ends_at),
        "run_at": None if head.run_at is None else _moment(head.run_at),
        "due_at": _moment(head.due_at) if head.status is Status.SCHEDULED and head.due_at is not None else None,
        "ready_at": _moment(head.ready_at),
        "created_at": _moment(head.created_at),
        "updated_at": _moment(head.updated_at),
        "started_at": None if started_at is None else _moment(started_at),
        "finished_at": None if finished_at is None else _moment(finished_at),
        "cancel_requested_at": None if head.cancel_requested_at is None else _moment(head.cancel_requested_at),
        "reason": head.reason,
        "parked": _parked(head, outputs) if head.status is Status.PARKED else None,
        "answer": outputs.answer or None,
        "progress": _raw(outputs.progress),
        "checkpoint": _raw(outputs.checkpoint),
        "session_id": outputs.session_id,
        "result": _raw(outputs.result),
        "error": _raw(outputs.error),
        "usage": _usage(outputs),
        "source": head.source,
        "schedule_id": head.schedule_id,
        "workflow_id": head.workflow_id,
        "run_id": head.run_id,
        "step_id": head.step_id,
        "agent": head.agent or None,
        "budget": None if head.budget is None else _budget(head.budget),
        "question": outputs.question,
    }


def excerpt(view: TaskView, most: int) -> Shown:
    """A Task for a list that is looked at: of its error no more than the beginning."""
    shown = task(view)
    if (error := error_of(view.outputs.error)) is not None:
        shown["error"] = TaskError(type=error.type, message=error.message[:most])
    return shown


def _raw(text: str | None) -> Any:
    return None if text is None else Raw(text)


def _budget(text: str) -> TaskBudget:
    tokens, micros = budgets.decoded(text).limits
    return TaskBudget(tokens=tokens, cost_usd=None if micros is None else budgets.usd(micros))


def _parked(head: Head, outputs: Outputs) -> Parked:
    reason = ParkReason(head.hold or ParkReason.QUESTION)
    return Parked(
        reason=reason,
        until=perhaps(head.hold_until),
        question=outputs.question if reason is ParkReason.QUESTION else None,
        options=_decode_strings(outputs.options) if reason is ParkReason.QUESTION and outputs.options else [],
        account=head.account if reason is ParkReason.QUOTA else None,
        message=head.reason,
    )


def _usage(outputs: Outputs) -> Any:
    """The sum over the attempts: those that have ended, and the running one."""
    before, now = outputs.usage_before, outputs.usage_now
    if now is None or now == "null":
        return _raw(before)
    if before is None or before == "null":
        return Raw(now)
    return add_usage(usage_of(before), usage_of(now))
