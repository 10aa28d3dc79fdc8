"""Numbers about the queue."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from worker_client.contract.request import Request
from worker_client.contract.usage import UsageSummary, Used


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
    """How long completed attempts ran, milliseconds, within 5 %; of the last 24 hours where nothing else is said."""

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


class StatisticsNow(Struct, kw_only=True):
    """The few numbers that tell how it stands; `needs_person`: parked tasks that wait for a person, of the newest 10,000."""

    by_status: dict[str, int]
    needs_person: int
    throughput: dict[str, Throughput]
    used_today: Used


class ReadSeries(Request, kw_only=True):
    """How far back: minutes of what happened, hours of how long attempts ran."""

    minutes: Annotated[int, Meta(ge=1, le=1440)] = 60
    hours: Annotated[int, Meta(ge=1, le=24)] = 24


class MinuteCounts(Struct, kw_only=True):
    """What happened in the minute that begins at `at`."""

    at: datetime
    created: int
    completed: int
    failed: int
    cancelled: int


class HourDurations(Durations, kw_only=True):
    """How long completed attempts ran that ended in the hour that begins at `at`."""

    at: datetime


class Series(Struct, kw_only=True):
    """Each minute and each hour, oldest first, also those in which nothing happened; the last ones still go on."""

    minutes: list[MinuteCounts]
    hours: list[HourDurations]
