"""Counters that the server keeps, and gauges of the queue at the moment of the scrape, for Prometheus.

The accumulators are our own: an observation costs 0.2 µs where prometheus_client's locks and labels cost 2.4 µs. They
belong to the event loop's thread; prometheus_client writes them out.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.telemetry.gauges import OTHER, QueueSnapshot, gauges

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MOST_NAMES: Final = 20
"""Kinds and agents are named by those who create tasks: past so many of each, the others are counted as one."""
UNMATCHED: Final = "unmatched"
"""The route of a request that fits no template."""

_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"})
_RESPONSE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_COMMIT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_LATE_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300)
READ_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_WORK_SECONDS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
_BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


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
        self.read_seconds = Histogram(READ_SECONDS)
        self.loop_lag_seconds = Histogram(_LAG_SECONDS)
        self.attempt_wait_seconds = Histogram(_WORK_SECONDS)
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._attempt_seconds: dict[str, Histogram] = {}
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._cost: dict[str, float] = {}
        self._responses: dict[tuple[str, str, int], Histogram] = {}
        self._deliveries: Counter[tuple[str, str]] = Counter()
        self._notifications: Counter[tuple[str, str]] = Counter()
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

    def notified(self, via: str, outcome: str) -> None:
        """Count a try to deliver a notification."""
        self._notifications[via, outcome] += 1

    def attempted(self, kind: str, outcome: str, waited: float, seconds: float) -> None:
        """Count an attempt that is over: for how many seconds its task was ready before it, and how many it took."""
        histogram = self._attempt_seconds.get(kind)
        if histogram is None:
            kind = _bounded(kind, self._attempt_seconds)
            histogram = self._attempt_seconds.setdefault(kind, Histogram(_WORK_SECONDS))
        self._attempts[kind, outcome] += 1
        # A clock that was set back must lower no sum.
        histogram.observe(max(0.0, seconds))
        self.attempt_wait_seconds.observe(max(0.0, waited))

    def used(self, agent: str, tokens: Mapping[str, int], cost_usd: float) -> None:
        """Count what an agent used more than was known of the attempt before."""
        agent = _bounded(agent, self._cost)
        self._cost[agent] = self._cost.get(agent, 0.0) + max(0.0, cost_usd)
        for which, count in tokens.items():
            self._tokens[agent, which] += max(0, count)

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
        yield _counts("schedule_fires", "Due times of schedules since the start, by outcome", ["outcome"], self.schedule_fires)
        yield _counts("run_ended", "Runs of workflows that ended since the start", ["status"], self.runs_ended)
        yield _counts("trigger_deliveries", "What reached triggers since the start", ["type", "outcome"], self._deliveries)
        told = "Tries to deliver notifications since the start"
        yield _counts("notification_tries", told, ["via", "outcome"], self._notifications)
        yield _counts("task_attempts", "Attempts that ended since the start", ["kind", "outcome"], self._attempts)
        yield _counts("agent_tokens", "Tokens that agents used since the start", ["agent", "type"], self._tokens)
        yield _counts("agent_cost_usd", "US dollars that agents cost since the start", ["agent"], self._cost)
        responses = {(method, route, f"{status}xx"): found for (method, route, status), found in self._responses.items()}
        labels = ["method", "route", "status"]
        yield _times("response_time_seconds", "From request to answer, without long polls", labels, responses)
        yield _times("task_attempt_duration_seconds", "How long attempts took", ["kind"], self._attempt_seconds)
        for name, text, histogram in (
            ("task_attempt_wait_seconds", "From when a task was ready until its attempt began", self.attempt_wait_seconds),
            ("commit_batch_size", "Operations per transaction", self.commit_batch_size),
            ("schedule_late_seconds", "From a due time until its work was there", self.schedule_late_seconds),
            ("commit_duration_seconds", "Time of a transaction, its fsync included", self.commit_seconds),
            ("database_read_seconds", "Time of a query, the wait for a connection included", self.read_seconds),
            ("event_loop_lag_seconds", "How much later than asked for the server got to its own work", self.loop_lag_seconds),
        ):
            yield HistogramMetricFamily(name, text, histogram.buckets(), histogram.total)
        yield from gauges(self._snapshot)


class _Written(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()


def _counts(name: str, text: str, labels: list[str], counted: Mapping[Any, float]) -> Metric:
    """A counter whose keys are the values of its labels."""
    family = CounterMetricFamily(name, text, labels=labels)
    for key, count in counted.items():
        family.add_metric([key] if isinstance(key, str) else key, count)
    return family


def _times(name: str, text: str, labels: list[str], observed: Mapping[Any, Histogram]) -> Metric:
    """A histogram for each value of its labels."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, histogram in observed.items():
        family.add_metric([key] if isinstance(key, str) else key, histogram.buckets(), histogram.total)
    return family


def _bounded(name: str, known: Collection[str]) -> str:
    """A name as a label: those that came first keep theirs."""
    return name if name in known or len(known) < MOST_NAMES else OTHER
