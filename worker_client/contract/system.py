"""The server itself."""

from datetime import datetime

from msgspec import Struct


class Reloaded(Struct, kw_only=True):
    """What the settings, read anew, changed (as `section.key`), and what of them only a restart brings into effect."""

    changed: list[str]
    needs_restart: list[str]


class SchedulesByState(Struct, kw_only=True):
    """How many schedules there are."""

    active: int
    paused: int
    finished: int


class SchedulerInfo(Struct, kw_only=True):
    """Whether schedules fire: `state` is `running` or `stopped`, for all servers; `enabled`: whether this one fires them.

    The others are about the schedules that who asks sees. `timezone`: of those that name none.
    """

    state: str
    enabled: bool
    timezone: str
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    schedules: SchedulesByState


class SystemInfo(Struct, kw_only=True):
    """The server that answers. `uptime`: as in /health; `database`: `sqlite` or `postgresql`."""

    version: str
    environment: str
    started_at: datetime
    uptime: str
    database: str
    scheduler: SchedulerInfo


class SystemMetrics(Struct, kw_only=True):
    """What the server that answers has done since its start, and how it stands; /metrics has more, for Prometheus."""

    uptime_seconds: float
    memory_bytes: int
    connections: int
    parked_polls: int
    commit_backlog: int
    tasks: dict[str, int]
    tasks_created: int
    tasks_completed: int
    tasks_failed: int
    leases_expired: int
    operations_shed: int
    schedule_fires: dict[str, int]
