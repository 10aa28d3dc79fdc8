"""The server itself."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from worker_client.contract.fields import JsonObject, Limit
from worker_client.contract.request import Request


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


class ReadSystemLogs(Request, kw_only=True):
    """The last lines of a server's log, or with `after` those that came after the line with this number, as many as `limit`.

    `level`: of at least this one. `q`: lines that contain this, in any case. `download`: as a file, of text.
    """

    level: Annotated[
        str, Meta(pattern=r"^(debug|info|warning|error|critical)$(?!\n)", description="debug, info, warning, error or critical")
    ] = "debug"
    q: Annotated[str, Meta(max_length=500)] | None = None
    after: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    limit: Limit = 200
    format: Annotated[str, Meta(pattern=r"^(json|text)$(?!\n)", description="json or text")] = "json"
    download: bool = False


class SystemLogLine(Struct, kw_only=True):
    """A line of a server's log; `facts` is what stands beside the event. Numbers grow, also over restarts."""

    number: int
    at: datetime
    level: str
    event: str
    facts: JsonObject = {}


class SystemLogPage(Struct, kw_only=True):
    """Lines of a server's log, newest last; `next_after` continues. `host`: of which of several servers."""

    lines: list[SystemLogLine]
    next_after: int
    host: str
