"""Numbers about the queue."""

from datetime import datetime

from msgspec import Struct, field

from worker_client.contract.usage import UsageSummary


class DirectoryCounts(Struct, kw_only=True):
    """Tasks of one directory by status."""

    work_directory: str
    host: str
    total: int
    by_status: dict[str, int]
    oldest_waiting_seconds: float | None = None


class Throughput(Struct, kw_only=True):
    """What happened in the last so many seconds; `per_second` are completed tasks."""

    seconds: int
    created: int
    completed: int
    failed: int
    cancelled: int
    per_second: float


class Durations(Struct, kw_only=True):
    """How long completed attempts of the last 24 hours ran, milliseconds, within 5 %."""

    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Statistics(Struct, kw_only=True):
    """Counts by status, priority and directory; throughput; oldest waiting; durations; what was used."""

    total: int
    by_status: dict[str, int]
    by_priority: dict[str, int]
    by_directory: list[DirectoryCounts]
    throughput: dict[str, Throughput]
    oldest_waiting_at: datetime | None
    oldest_waiting_seconds: float | None
    durations: Durations
    usage: UsageSummary = field(default_factory=UsageSummary)
