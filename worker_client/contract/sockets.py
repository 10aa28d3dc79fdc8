"""What is said over a WebSocket: what is wanted to the server, what happens to the client."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from worker_client.contract.events import ReadEvents
from worker_client.contract.fields import Json
from worker_client.contract.logs import StoredLogLine
from worker_client.contract.request import Request
from worker_client.contract.statistics import Throughput


class SocketEvent(StrEnum):
    """What a message is about."""

    TASK_EXECUTION = "task_execution"
    EXECUTION_LOGS = "execution_logs"
    SYSTEM_METRICS = "system_metrics"
    MARK = "mark"
    RESET = "reset"
    ERROR = "error"


class Wanted(StrEnum):
    """What one may ask for."""

    TASK_EXECUTION = "task_execution"
    EXECUTION_LOGS = "execution_logs"
    SYSTEM_METRICS = "system_metrics"


class ReadSocket(ReadEvents, kw_only=True):
    """Which messages; `coalesce_ms`: of each task at most one `task_execution` in that time, the newest."""

    events: Annotated[list[Wanted], Meta(min_length=1, max_length=3)] = field(default_factory=lambda: [Wanted.TASK_EXECUTION])
    coalesce_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0


class Subscribe(Request, kw_only=True):
    """From now on these messages in place of those before; what is not said is as at the beginning.

    Without `after` it goes on where it was.
    """

    subscribe: ReadSocket


class SocketMessage(Struct, kw_only=True):
    """One message to the client; with an `id` the place from which to resume, as `after`.

    `data` is an Event or (without an id) a Hint, a TaskOutput, SystemMetrics, `{"reason", "message"}` of a reset, or of an error
    `{"code", "message", "details"}`.
    """

    event: SocketEvent
    id: str | None
    data: Json


class TaskOutput(Struct, kw_only=True):
    """New lines of a task's output; `next_after` is where reading its log goes on."""

    task_id: int
    work_directory: str
    lines: list[StoredLogLine]
    next_after: int


class SystemMetrics(Struct, kw_only=True):
    """Tasks that one may see, by status, and what became of them; the last three only for those who may see everything."""

    at: datetime
    by_status: dict[str, int]
    throughput: dict[str, Throughput]
    parked_polls: int | None = None
    backlog: int | None = None
    listeners: int | None = None
