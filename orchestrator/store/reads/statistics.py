"""Numbers about the queue, from the rollups alone."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from orchestrator.domain.moments import perhaps
from orchestrator.domain.principal import EVERYWHERE, PathScope
from orchestrator.domain.task import Millis
from orchestrator.store.reads.conditions import within
from orchestrator.store.reads.dialect import Dialect
from orchestrator.store.reads.periods import Periods
from orchestrator.store.reads.usage import UsageReads
from orchestrator.store.reads.values import PRIORITIES, Fetch
from orchestrator.store.rollups import percentiles
from orchestrator.telemetry.gauges import OTHER, STUCK_MS, TOP_DIRECTORIES, DirectoryWaiting, QueueSnapshot, Standstill
from worker_client.contract.enums import ParkReason, Status
from worker_client.contract.statistics import DirectoryCounts, Durations, Statistics, Throughput

_MINUTE: Final = 60_000
_HOUR: Final = 3_600_000
_TOP: Final = 1000
_LOOKS: Final = 2_000
"""Rows that the search for the oldest waiting task may look at."""
_PARKED: Final = 2_000
_RUNNING: Final = 2_000
_LATE_MS: Final = 5_000
"""A schedule that fires a little later is not late yet."""
_PEOPLE: Final = frozenset({ParkReason.QUESTION, ParkReason.APPROVAL})
"""Holds that end when a person does something."""
_WINDOWS: Final = {"1m": 1, "1h": 60, "24h": 1440}
_STATUSES: Final = [str(status) for status in Status]
_PRIORITIES: Final = [str(priority) for priority in PRIORITIES]
# A sum for each is three times as fast as GROUP BY, which sorts.
_SUMS: Final = ", ".join(
    f"coalesce(sum(n) FILTER (WHERE {condition}), 0)"
    for condition in (
        *(f"status = '{status}'" for status in _STATUSES),
        *(f"priority = {number}" for number in range(len(_PRIORITIES))),
    )
)
_Row = tuple[Any, ...]
_Directory = tuple[str, str]


class Stream(NamedTuple):
    """What waits of one kind in a directory, for one agent: the task that is next, and since when the oldest is ready."""

    path: str
    host: str
    rank: int
    task_id: int
    ready_at: Millis


class StatisticsReads(UsageReads):
    """Queries for numbers."""

    def __init__(self, fetch: Fetch, dialect: Dialect) -> None:
        super().__init__(fetch, dialect)
        sums = "minute, sum(created), sum(completed), sum(failed), sum(cancelled)"
        self._rates = Periods(self._fetch, "task_rates", "minute", sums, "minute")
        self._durations = Periods(self._fetch, "task_durations", "hour", "hour, bucket, sum(n)", "hour, bucket")

    async def statistics(self, now: Millis, visible: PathScope) -> Statistics:
        """Counts by status, priority and directory (the 1000 largest); throughput; the oldest waiting; durations; usage."""
        (by_status, by_priority), (directories, oldest), throughput, durations, usage = await asyncio.gather(
            self._counts(visible),
            self._directories_of(now, visible),
            self._throughput(now, visible),
            self._percentiles(now, visible),
            self.usage_summary(now, visible),
        )
        return Statistics(
            total=sum(by_status.values()),
            by_status=by_status,
            by_priority=by_priority,
            by_directory=directories,
            throughput=throughput,
            oldest_waiting_at=perhaps(oldest),
            oldest_waiting_seconds=_age(oldest, now),
            durations=durations,
            usage=usage,
        )

    async def pace(self, now: Millis, visible: PathScope) -> tuple[dict[str, int], dict[str, Throughput]]:
        """Counts by status, and throughput: what can be asked for every few seconds."""
        (by_status, _), throughput = await asyncio.gather(self._counts(visible), self._throughput(now, visible))
        return by_status, throughput

    async def waiting(self) -> int:
        """How many tasks wait, in all directories."""
        ((found,),) = await self._fetch(self._sql["waiting_total"], ())
        return int(found)

    async def snapshot(self, now: Millis, asked: Callable[[str, str], bool] = lambda *_: True) -> QueueSnapshot:
        """The gauges that the tables can fill: tasks by status, and by directory what waits, for how long.

        `asked`: whether somebody asks for work in a directory, on a host.
        """
        by_status, _ = await self._counts(EVERYWHERE)
        rows = await self._fetch(self._sql["waiting_directories"], (_TOP,))
        mixed = {path for path, _, _, priorities in rows if priorities > 1}
        oldest = await self._oldest({(path, host) for path, host, _, _ in rows}, mixed)
        found = [
            DirectoryWaiting(path, host, waiting, _age(oldest.get((path, host)), now) or 0.0) for path, host, waiting, _ in rows
        ]
        long = (row for row in found if row.oldest_seconds * 1000 >= STUCK_MS)
        unasked = sum(row.waiting for row in long if not asked(row.work_directory, row.host))
        first = await self._first_waiting(EVERYWHERE, oldest.values())
        if len(found) >= TOP_DIRECTORIES:
            top, rest = found[: TOP_DIRECTORIES - 1], found[TOP_DIRECTORIES - 1 :]
            others = by_status[Status.WAITING] - sum(row.waiting for row in top)
            found = [*top, DirectoryWaiting(OTHER, "", max(0, others), max(row.oldest_seconds for row in rest))]
        return QueueSnapshot(by_status=by_status, directories=found, oldest_seconds=_age(first, now) or 0.0, unasked=unasked)

    async def standstill(self, now: Millis, wall: Millis) -> Standstill:
        """What does not go on; `wall`: the time that schedules follow."""
        before = now - STUCK_MS
        parked, ((silent,),), ((late, first),) = await asyncio.gather(
            self._fetch(self._sql["parked_holds"], (before, _PARKED)),
            self._fetch(self._sql["silent"], (before, _RUNNING)),
            self._fetch(self._sql["late_schedules"], (wall - _LATE_MS, _TOP)),
        )
        return Standstill(
            parked={str(hold): int(count) for hold, count, _ in parked},
            unanswered=sum(int(long) for hold, _, long in parked if hold in _PEOPLE),
            silent=int(silent),
            late_schedules=int(late),
            latest_seconds=_age(first, wall) or 0.0,
        )

    async def _counts(self, visible: PathScope) -> tuple[dict[str, int], dict[str, int]]:
        scope = within(visible.patterns, "path")
        ((*counts,),) = await self._fetch(f"SELECT {_SUMS} FROM task_counts WHERE {scope.sql}", scope.params)
        return dict(zip(_STATUSES, counts, strict=False)), dict(zip(_PRIORITIES, counts[len(_STATUSES) :], strict=True))

    async def _directories_of(self, now: Millis, visible: PathScope) -> tuple[list[DirectoryCounts], Millis | None]:
        """The largest directories, and since when the oldest waiting task is ready."""
        directories, mixed = await self._largest(visible)
        waiting = {(row.work_directory, row.host) for row in directories if row.by_status.get(Status.WAITING)}
        oldest = await self._oldest(waiting, mixed)
        for row in directories:
            row.oldest_waiting_seconds = _age(oldest.get((row.work_directory, row.host)), now)
        return directories, await self._first_waiting(visible, oldest.values())

    async def _largest(self, visible: PathScope) -> tuple[list[DirectoryCounts], set[str]]:
        """The largest directories, and the paths in which tasks of several priorities wait."""
        scope = within(visible.patterns, "path")
        rows = await self._fetch(
            "SELECT d.path, d.host, d.total, c.status, c.n"
            f" FROM (SELECT path, host, sum(n) AS total FROM task_counts WHERE n > 0 AND {scope.sql}"
            " GROUP BY path, host ORDER BY total DESC, path, host LIMIT ?) d"
            " JOIN task_counts c ON c.path = d.path AND c.host = d.host AND c.n > 0"
            " ORDER BY d.total DESC, d.path, d.host, c.status",
            (*scope.params, _TOP),
        )
        found: dict[_Directory, DirectoryCounts] = {}
        mixed: set[str] = set()
        for path, host, total, status, n in rows:
            row = found.setdefault((path, host), DirectoryCounts(work_directory=path, host=host, total=total, by_status={}))
            if status == Status.WAITING and status in row.by_status:
                mixed.add(path)
            row.by_status[status] = row.by_status.get(status, 0) + n
        return list(found.values()), mixed

    async def _oldest(self, directories: set[_Directory], mixed: set[str]) -> dict[_Directory, Millis]:
        """Since when the oldest waiting task of each directory is ready.

        Where priorities are mixed, a task far behind in rank may be older: up to 2,000 tasks altogether are looked at.
        """
        paths = {path for path, _ in directories}
        found: dict[_Directory, Millis] = {}
        for some, looks in ((paths - mixed, 1), (paths & mixed, max(1, _LOOKS // max(1, len(mixed))))):
            if some:
                rows = await self._streams(some, looks)
                found |= {(row.path, row.host): row.ready_at for row in sorted(rows, key=lambda row: -row.ready_at)}
        return found

    async def _streams(self, paths: Iterable[str], looks: int) -> list[Stream]:
        return [Stream(*row) for row in await self._fetch(self._sql["waiting_streams"], (json.dumps(sorted(paths)), looks))]

    async def _first_waiting(self, visible: PathScope, known: Iterable[Millis]) -> Millis | None:
        """Since when the oldest waiting task is ready: also outside of the largest directories, if ids tell."""
        rows: Sequence[_Row] = await self._fetch(self._sql["first_waiting"], ()) if visible.patterns is None else ()
        return min([*known, *(at for (at,) in rows)], default=None)

    async def _throughput(self, now: Millis, visible: PathScope) -> dict[str, Throughput]:
        current = now // _MINUTE
        rows = await self._rates.since(current - max(_WINDOWS.values()), current, visible)
        return {name: _sum(rows, current - minutes, now) for name, minutes in _WINDOWS.items()}

    async def _percentiles(self, now: Millis, visible: PathScope) -> Durations:
        current = now // _HOUR
        counts = Counter[int]()
        for _, bucket, n in await self._durations.since(current - 24, current, visible):
            counts[bucket] += n
        p50, p95, p99 = percentiles(counts.items(), 0.5, 0.95, 0.99)
        return Durations(count=counts.total(), p50_ms=p50, p95_ms=p95, p99_ms=p99)


def _sum(rows: Iterable[_Row], first: int, now: Millis) -> Throughput:
    """What happened from the minute `first` until now: whole minutes, and the one that has begun."""
    created = completed = failed = cancelled = 0
    for minute, *counts in rows:
        if minute >= first:
            created, completed, failed, cancelled = (
                total + n for total, n in zip((created, completed, failed, cancelled), counts, strict=True)
            )
    seconds = max(1, (now - first * _MINUTE) // 1000)
    return Throughput(
        seconds=seconds,
        created=created,
        completed=completed,
        failed=failed,
        cancelled=cancelled,
        per_second=round(completed / seconds, 3),
    )


def _age(at: Millis | None, now: Millis) -> float | None:
    return None if at is None else max(0, now - at) / 1000
