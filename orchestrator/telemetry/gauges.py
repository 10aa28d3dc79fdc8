"""How the queue, its workers and this server stand at the moment of a scrape."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily, Metric

TOP_DIRECTORIES: Final = 50
OTHER: Final = "other"
STUCK_MS: Final = 15 * 60_000
"""After so long without a sign something is taken for stuck."""


class DirectoryWaiting(Struct, frozen=True):
    """Tasks that wait in one directory, and for how long the oldest of them has."""

    work_directory: str
    host: str
    waiting: int
    oldest_seconds: float


class Standstill(Struct, frozen=True, kw_only=True):
    """What does not go on: what is parked, by reason, and how much has waited long for a person; running tasks without output.

    `late_schedules`: those that should have fired, the first of them so many seconds ago.
    """

    parked: Mapping[str, int] = {}
    unanswered: int = 0
    silent: int = 0
    late_schedules: int = 0
    latest_seconds: float = 0.0


class Replicas(Struct, frozen=True):
    """The servers on one database: how many there are, and how far this one is behind the others.

    `looked_seconds`: since it last saw how the database stands.
    """

    servers: int
    behind_events: int
    looked_seconds: float


class QueueSnapshot(Struct, frozen=True, kw_only=True):
    """The queue as it is now; `directories` in any order and number: the largest 50 are shown, the others summed up.

    What is None is not there to be told, or could not be read. `unasked`: tasks that have waited for long where nobody asks.
    """

    by_status: Mapping[str, int]
    directories: Sequence[DirectoryWaiting] = ()
    oldest_seconds: float | None = None
    standstill: Standstill | None = None
    unasked: int = 0
    workers: Mapping[str, int] = {}
    parked_polls: int = 0
    listeners: int = 0
    connections: int = 0
    backlog: int = 0
    readable: bool = True
    writable: bool = True
    replicas: Replicas | None = None
    undelivered_seconds: float | None = None
    wal_bytes: int | None = None
    wal_held_seconds: float | None = None


FULL: Final = QueueSnapshot(
    by_status={"running": 0},
    oldest_seconds=0.0,
    standstill=Standstill(),
    replicas=Replicas(1, 0, 0.0),
    undelivered_seconds=0.0,
    wal_bytes=0,
    wal_held_seconds=0.0,
)
"""With all that any server tells."""


def gauges(queue: QueueSnapshot) -> Iterator[Metric]:
    """All of it as prometheus_client's families."""
    readable = GaugeMetricFamily("database_up", "Whether the database can be used", labels=["access"])
    readable.add_metric(["read"], queue.readable)
    readable.add_metric(["write"], queue.writable)
    yield readable
    yield _by("tasks", "Tasks by status", "status", queue.by_status)
    yield from _waiting(queue)
    if queue.standstill is not None:
        yield from _standing_still(queue.standstill, queue.unasked)
    yield _by(
        "workers", "Workers that asked for work in the last 10 minutes, and whether they ask right now", "state", queue.workers
    )
    yield GaugeMetricFamily("parked_polls", "Workers that wait for a task", queue.parked_polls)
    yield GaugeMetricFamily(
        "event_listeners", "Readers of events, by SSE and WebSocket, and of output that is downloaded", queue.listeners
    )
    yield GaugeMetricFamily("open_connections", "Connections of clients", queue.connections)
    yield GaugeMetricFamily("commit_backlog", "Operations that wait for a commit", queue.backlog)
    if queue.undelivered_seconds is not None:
        told = "Age of the oldest notification that is to be delivered; 0: there is none"
        yield GaugeMetricFamily("notification_oldest_undelivered_seconds", told, queue.undelivered_seconds)
    if queue.replicas is not None:
        yield from _together(queue.replicas)
    if queue.wal_bytes is not None:
        yield GaugeMetricFamily("wal_size_bytes", "Size of the write-ahead log", queue.wal_bytes)
    if queue.wal_held_seconds is not None:
        told = "For how long another program's reading has kept the write-ahead log from being folded in; 0: it does not"
        yield GaugeMetricFamily("wal_held_seconds", told, queue.wal_held_seconds)


def _waiting(queue: QueueSnapshot) -> Iterator[Metric]:
    if queue.by_status:
        yield GaugeMetricFamily("active_tasks", "Tasks that are running", queue.by_status.get("running", 0))
    waiting = GaugeMetricFamily("waiting_tasks", "Waiting tasks by directory", labels=["work_directory", "host"])
    oldest = GaugeMetricFamily("oldest_waiting_seconds", "Age of the oldest waiting task", labels=["work_directory", "host"])
    for directory in _bounded(queue.directories):
        labels = [directory.work_directory, directory.host]
        waiting.add_metric(labels, directory.waiting)
        oldest.add_metric(labels, directory.oldest_seconds)
    yield from (waiting, oldest)
    if queue.oldest_seconds is not None:
        told = "Age of the oldest waiting task of all directories; 0: none waits"
        yield GaugeMetricFamily("oldest_waiting_task_seconds", told, queue.oldest_seconds)


def _standing_still(found: Standstill, unasked: int) -> Iterator[Metric]:
    minutes = STUCK_MS // 60_000
    yield _by("parked_tasks", "Parked tasks by what they wait for, of the oldest 2000", "reason", found.parked)
    told = (
        f"Tasks that did not go on for {minutes} minutes: running without output (silent), parked for a person (unanswered), "
        "waiting where no worker asks (unasked)"
    )
    stuck = {"silent": found.silent, "unanswered": found.unanswered, "unasked": unasked}
    yield _by("stuck_tasks", told, "reason", stuck)
    yield GaugeMetricFamily("late_schedules", "Schedules that should have fired by now, 1000 at the most", found.late_schedules)
    yield GaugeMetricFamily("late_schedule_seconds", "For how long the first of the late schedules is", found.latest_seconds)


def _together(found: Replicas) -> Iterator[Metric]:
    yield GaugeMetricFamily("replica_servers", "Servers that are connected to the database", found.servers)
    yield GaugeMetricFamily("replica_behind_events", "Events that this server has not heard yet", found.behind_events)
    told = "Since when this server has not seen how the database stands"
    yield GaugeMetricFamily("replica_looked_seconds", told, found.looked_seconds)


def _by(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _bounded(directories: Sequence[DirectoryWaiting]) -> list[DirectoryWaiting]:
    """The largest, and all others as one: a label value per directory must not grow without bound."""
    if len(directories) <= TOP_DIRECTORIES:
        return list(directories)
    top = heapq.nlargest(TOP_DIRECTORIES, directories, key=lambda directory: directory.waiting)
    shown = {(directory.work_directory, directory.host) for directory in top}
    rest = [directory for directory in directories if (directory.work_directory, directory.host) not in shown]
    waiting = sum(directory.waiting for directory in rest)
    return [*top, DirectoryWaiting(OTHER, "", waiting, max(directory.oldest_seconds for directory in rest))]
