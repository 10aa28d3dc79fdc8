"""Attempts: the leases of a task that ran, and how they ended."""

from datetime import datetime
from typing import Annotated

from msgspec import Struct

from worker_client.contract.enums import AttemptOutcome
from worker_client.contract.fields import Id, JsonObject, Name, Paths, Several, When
from worker_client.contract.reports import TaskError, Usage
from worker_client.contract.request import Paged


class Attempt(Struct, kw_only=True):
    """One lease of one task; `id` is null while it runs."""

    id: int | None
    task_id: int
    lease_no: int
    attempt: int
    outcome: AttemptOutcome
    work_directory: str
    host: str
    kind: str
    worker_id: str | None
    session_id: str | None
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    error: TaskError | None
    usage: Usage | None
    reason: str | None
    agent: str | None = None
    evidence: JsonObject = {}


class ListAttempts(Paged, kw_only=True):
    """A page of attempts across tasks, newest first."""

    task_id: Id | None = None
    outcome: Annotated[list[AttemptOutcome], Several] | None = None
    work_path: Paths | None = None
    recursive: bool = False
    worker_id: Name | None = None
    started_after: When | None = None
    started_before: When | None = None


class ListTaskAttempts(Paged, kw_only=True):
    """A page of the attempts of one task, in their order."""


class AttemptStats(Struct, kw_only=True):
    """Ended attempts: how many of each outcome, and how long completed ones took (milliseconds).

    Of more than 10,000 the newest are looked at; then `total_exact` is false.
    """

    total: int
    total_exact: bool = True
    by_outcome: dict[str, int]
    success_rate: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
