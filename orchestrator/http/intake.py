"""Queries of the contract as operations of the domain, and texts that are stored without what must not be seen in them."""

from typing import Any, Final, TypeVar

from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.drafting import as_json, distinct, work_path
from orchestrator.domain.moments import instant
from orchestrator.domain.principal import Principal
from orchestrator.doors.redaction import Redaction
from worker_client.contract.attempts import ListAttempts
from worker_client.contract.audit import ListAudit
from worker_client.contract.directories import ListWaiting
from worker_client.contract.tasks import ClaimNext, TaskFilter
from worker_client.errors import ValidationFailed

F = TypeVar("F", bound=TaskFilter | ListAttempts | ListAudit | ListWaiting)

_NO_TAGS: Final[frozenset[str]] = frozenset()


def claim(asked: ClaimNext, by: Principal, limit: int = 1) -> ops.Claim:
    """A claim of up to `limit` tasks."""
    interest = ops.Interest(
        paths=distinct(work_path(path, "work_path") for path in asked.work_path),
        recursive=asked.recursive,
        kinds=distinct(asked.kinds),
        tags=frozenset(asked.tags) if asked.tags else _NO_TAGS,
        host=asked.host,
        exclusive=asked.exclusive,
        principal=by,
        agent=asked.agent or "",
    )
    return ops.Claim(
        interest=interest,
        worker_id=asked.worker_id,
        lease_ms=round(asked.lease_seconds * 1000),
        limit=limit,
        account=asked.account or None,
        poll_id=asked.poll_id,
        confirm_ms=None if asked.confirm_seconds is None else round(asked.confirm_seconds * 1000),
    )


def filtered(asked: F) -> F:
    """A filter with canonical paths and times that exist."""
    for name in ("created_after", "created_before", "started_after", "started_before"):
        if (at := getattr(asked, name, None)) is not None:
            instant(at, name)
    if asked.work_path is None:
        return asked
    return replace(asked, work_path=list(distinct(work_path(path, "work_path") for path in asked.work_path)))


def json(value: Any, field: str, redaction: Redaction | None = None) -> str:
    """JSON text of something that was sent, with what must not be seen in it masked."""
    try:
        return as_json(value if redaction is None else redaction.value(value), field)
    except RecursionError:
        raise ValidationFailed(f"`{field}` is nested too deeply: send it flatter", field=field) from None


def optional(value: Any, field: str, redaction: Redaction | None = None) -> str | None:
    """JSON text of something that may not have been sent."""
    return None if value is None else json(value, field, redaction)


T = TypeVar("T", str, str | None)


def masked(text: T, redaction: Redaction | None) -> T:
    """A text without what must not be seen."""
    return text if redaction is None or text is None else redaction.text(text)


V = TypeVar("V")
