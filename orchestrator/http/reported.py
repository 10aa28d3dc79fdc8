"""What workers report, as operations of the domain."""

from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.moments import instant
from orchestrator.domain.task import Outputs
from orchestrator.doors.redaction import Redaction
from orchestrator.http.intake import json, masked, optional
from worker_client.contract.enums import LogStream, ParkReason
from worker_client.contract.logs import AppendLogs
from worker_client.contract.reports import Complete, Fail, Heartbeat, Park, Release
from worker_client.errors import ValidationFailed

_NOTHING_NEW: Final = Outputs()
_MOST_EVIDENCE: Final = 64 * 1024


def beat(task_id: int, body: Heartbeat, redaction: Redaction | None) -> ops.Heartbeat:
    """A heartbeat with what is new."""
    progress = body.progress and replace(body.progress, message=masked(body.progress.message, redaction))
    news = Outputs(
        progress=optional(progress, "progress"),
        checkpoint=None if body.checkpoint is UNSET else json(body.checkpoint, "checkpoint", redaction),
        session_id=body.session_id,
        usage_now=optional(body.usage, "usage"),
    )
    return ops.Heartbeat(
        task_id=task_id, lease=body.lease, outputs=None if news == _NOTHING_NEW else news, agent=body.agent or ""
    )


def completion(task_id: int, body: Complete, redaction: Redaction | None) -> ops.Complete:
    """A completion."""
    return ops.Complete(
        task_id=task_id,
        lease=body.lease,
        original_prompt=body.original_prompt,
        result="null" if body.result is None else json(body.result, "result", redaction),
        usage=optional(body.usage, "usage"),
        evidence=evidence(task_id, body, redaction),
    )


def failure(task_id: int, body: Fail, redaction: Redaction | None) -> ops.Fail:
    """A failure."""
    return ops.Fail(
        task_id=task_id,
        lease=body.lease,
        error=json(body.error, "error", redaction),
        message=masked(body.error.message, redaction),
        retryable=body.retryable,
        retry_after_ms=None if body.retry_after_seconds is None else round(body.retry_after_seconds * 1000),
        usage=optional(body.usage, "usage"),
        evidence=evidence(task_id, body, redaction),
    )


def giving_back(task_id: int, body: Release, redaction: Redaction | None) -> ops.Release:
    """A release."""
    return ops.Release(
        task_id=task_id,
        lease=body.lease,
        reason=masked(body.reason, redaction),
        not_before=None if body.not_before is None else instant(body.not_before, "not_before"),
        usage=optional(body.usage, "usage"),
        evidence=evidence(task_id, body, redaction),
    )


def parking(task_id: int, body: Park, redaction: Redaction | None) -> ops.Park:
    """A park; only a question has a question and its options."""
    news = Outputs(
        session_id=body.session_id,
        question=masked(body.question, redaction) if body.reason is ParkReason.QUESTION else None,
        options=json(body.options, "options", redaction) if body.reason is ParkReason.QUESTION else None,
        # What was answered to another question is no answer to this one.
        answer="" if body.reason is ParkReason.QUESTION else None,
    )
    return ops.Park(
        task_id=task_id,
        lease=body.lease,
        hold=str(body.reason),
        not_before=None if body.not_before is None else instant(body.not_before, "not_before"),
        account=body.account,
        agent=body.agent or "",
        outputs=None if news == _NOTHING_NEW else news,
        usage=optional(body.usage, "usage"),
        message=masked(body.message, redaction),
        evidence=evidence(task_id, body, redaction),
    )


def evidence(task_id: int, body: Complete | Fail | Release | Park, redaction: Redaction | None) -> str | None:
    """What is known of an attempt, None when nothing is said. Raises ValidationFailed when that is too much to keep."""
    if not body.evidence:
        return None
    text = json(body.evidence, "evidence", redaction)
    if (size := len(text.encode())) > _MOST_EVIDENCE:
        raise ValidationFailed(
            f"`evidence` of task {task_id} has {size} bytes, more than the {_MOST_EVIDENCE} that are kept: send less of it,"
            " the output itself belongs into the task's log",
            field="evidence",
        )
    return text


def log_lines(body: AppendLogs, redaction: Redaction | None) -> tuple[ops.LogLine, ...]:
    """Lines of output."""
    return tuple(
        ops.LogLine(masked(line, redaction), LogStream.STDOUT, None)
        if isinstance(line, str)
        else ops.LogLine(
            masked(line.text, redaction), line.stream, None if line.at is None else instant(line.at, f"lines[{place}].at")
        )
        for place, line in enumerate(body.lines)
    )
