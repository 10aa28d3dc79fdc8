"""Counters that the server keeps, and gauges of the queue at the moment of the scrape, for Prometheus.

The accumulators are our own: an observation costs 0.2 µs where prometheus_client's locks and labels cost 2.4 µs. They
belong to the event loop's thread; prometheus_client writes them out.
"""

import heapq
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
TOP_DIRECTORIES: Final = 50
OTHER: Final = "other"
UNMATCHED: Final = "unmatched"
"""The route of a request that fits no template."""

_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"})
_RESPONSE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_COMMIT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_LATE_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300)
_BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class DirectoryWaiting(Struct, frozen=True):
    """Tasks that wait in one directory, and for how long the oldest of them has."""

    work_directory: str
    host: str
    waiting: int
    oldest_seconds: float


class QueueSnapshot(Struct, frozen=True, kw_only=True):
    """The queue as it is now; `directories` in any order and number: the largest 50 are shown, the others summed up."""

    by_status: Mapping[str, int]
    directories: Sequence[DirectoryWaiting] = ()
    parked_polls: int = 0
    backlog: int = 0
    wal_bytes: int | None = None
    wal_held_seconds: float | None = None


class Histogram:
    """Counts of observations per bucket."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """The cumulative counts by upper bound, as Prometheus wants them."""
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self.counts)), strict=True))


class Metrics:
    """All that one server counts; the fields are added to where it happens, on the event loop."""

    def __init__(self, version: str) -> None:
        self.tasks_created = 0
        self.tasks_completed = 0
        self.tasks_failed = 0
        self.leases_expired = 0
        self.runs_ended = dict.fromkeys(("completed", "failed", "cancelled"), 0)
        self.operations_shed = 0
        """Operations that a full backlog refused."""
        self.schedule_fires: Counter[str] = Counter()
        """By what became of them."""
        self.schedule_late_seconds = Histogram(_LATE_SECONDS)
        self.commit_batch_size = Histogram(_BATCH_SIZES)
        self.commit_seconds = Histogram(_COMMIT_SECONDS)
        self._responses: dict[tuple[str, str, int], Histogram] = {}
        self._deliveries: Counter[tuple[str, str]] = Counter()
        self._version = version
        self._snapshot = QueueSnapshot(by_status={})
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Written(self))
        ProcessCollector(registry=self._registry)

    def responded(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is the template, not the path. Long polls and streams are not to be told."""
        key = (method, route, status // 100)
        histogram = self._responses.get(key)
        if histogram is None:
            known = (method if method in _METHODS else OTHER.upper(), *key[1:])
            histogram = self._responses.setdefault(known, Histogram(_RESPONSE_SECONDS))
        histogram.observe(seconds)

    def delivered(self, type: str, outcome: str) -> None:
        """Count something that reached a trigger."""
        self._deliveries[type, outcome] += 1

    def committed(self, operations: int, seconds: float) -> None:
        """Count one transaction of the committer."""
        self.commit_batch_size.observe(operations)
        self.commit_seconds.observe(seconds)

    def render(self, snapshot: QueueSnapshot) -> bytes:
        """The text that Prometheus scrapes, with the queue as in `snapshot`."""
        self._snapshot = snapshot
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Everything as prometheus_client's families."""
        yield InfoMetricFamily("orchestrator", "The program that answers", value={"version": self._version})
        yield CounterMetricFamily("task_created", "Tasks created since the start", self.tasks_created)
        yield CounterMetricFamily("task_completed", "Tasks completed since the start", self.tasks_completed)
        yield CounterMetricFamily("task_failed", "Tasks that failed for good since the start", self.tasks_failed)
        yield CounterMetricFamily("lease_expired", "Leases whose worker fell silent since the start", self.leases_expired)
        yield CounterMetricFamily("operation_shed", "Operations refused by a full backlog since the start", self.operations_shed)
        fires = CounterMetricFamily("schedule_fires", "Due times of schedules since the start, by outcome", labels=["outcome"])
        for outcome, count in self.schedule_fires.items():
            fires.add_metric([outcome], count)
        yield fires
        runs = CounterMetricFamily("run_ended", "Runs of workflows that ended since the start", labels=["status"])
        for ended, count in self.runs_ended.items():
            runs.add_metric([ended], count)
        yield runs
        deliveries = CounterMetricFamily(
            "trigger_deliveries", "What reached triggers since the start", labels=["type", "outcome"]
        )
        for labels, times in sorted(self._deliveries.items()):
            deliveries.add_metric(labels, times)
        yield deliveries
        responses = HistogramMetricFamily(
            "response_time_seconds", "From request to answer, without long polls", labels=["method", "route", "status"]
        )
        for (method, route, status), histogram in self._responses.items():
            responses.add_metric([method, route, f"{status}xx"], histogram.buckets(), histogram.total)
        yield responses
        for name, text, histogram in (
            ("commit_batch_size", "Operations per transaction", self.commit_batch_size),
            ("schedule_late_seconds", "From a due time until its work was there", self.schedule_late_seconds),
            ("commit_duration_seconds", "Time of a transaction, its fsync included", self.commit_seconds),
        ):
            yield HistogramMetricFamily(name, text, histogram.buckets(), histogram.total)
        yield from _gauges(self._snapshot)


class _Written(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()


def _gauges(queue: QueueSnapshot) -> Iterator[Metric]:
    tasks = GaugeMetricFamily("tasks", "Tasks by status", labels=["status"])
    for status, count in queue.by_status.items():
        tasks.add_metric([status], count)
    yield tasks
    yield GaugeMetricFamily("active_tasks", "Tasks that are running", queue.by_status.get("running", 0))
    waiting = GaugeMetricFamily("waiting_tasks", "Waiting tasks by directory", labels=["work_directory", "host"])
    oldest = GaugeMetricFamily("oldest_waiting_seconds", "Age of the oldest waiting task", labels=["work_directory", "host"])
    for directory in _bounded(queue.directories):
        labels = [directory.work_directory, directory.host]
        waiting.add_metric(labels, directory.waiting)
        oldest.add_metric(labels, directory.oldest_seconds)
    yield from (waiting, oldest)
    yield GaugeMetricFamily("parked_polls", "Workers that wait for a task", queue.parked_polls)
    yield GaugeMetricFamily("commit_backlog", "Operations that wait for a commit", queue.backlog)
    if queue.wal_bytes is not None:
        yield GaugeMetricFamily("wal_size_bytes", "Size of the write-ahead log", queue.wal_bytes)
    if queue.wal_held_seconds is not None:
        told = "For how long another program's reading has kept the write-ahead log from being folded in; 0: it does not"
        yield GaugeMetricFamily("wal_held_seconds", told, queue.wal_held_seconds)


def _bounded(directories: Sequence[DirectoryWaiting]) -> list[DirectoryWaiting]:
    """The largest, and all others as one: a label value per directory must not grow without bound."""
    if len(directories) <= TOP_DIRECTORIES:
        return list(directories)
    top = heapq.nlargest(TOP_DIRECTORIES, directories, key=lambda directory: directory.waiting)
    shown = {(directory.work_directory, directory.host) for directory in top}
    rest = [directory for directory in directories if (directory.work_directory, directory.host) not in shown]
    waiting = sum(directory.waiting for directory in rest)
    return [*top, DirectoryWaiting(OTHER, "", waiting, max(directory.oldest_seconds for directory in rest))]
