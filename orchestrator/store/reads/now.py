"""How it stands right now, for those who look often: bounded, and from the rollups wherever they tell."""

import asyncio
import json
from collections import Counter
from collections.abc import Collection
from typing import Final

from msgspec import Struct

from orchestrator.domain.moments import moment
from orchestrator.domain.principal import PathScope
from orchestrator.domain.task import Head, Millis
from orchestrator.store.reads.conditions import NEEDS_PERSON, all_of, asked, one_of, within
from orchestrator.store.reads.driving import UNFINISHED
from orchestrator.store.reads.statistics import StatisticsReads, Stream
from orchestrator.store.reads.values import COUNTED, Listing
from orchestrator.store.rollups import percentiles
from orchestrator.store.rows import HEAD_COLUMNS, head_of
from worker_client.contract.directories import ListWaiting
from worker_client.contract.enums import LogStream
from worker_client.contract.logs import LastLine
from worker_client.contract.statistics import HourDurations, MinuteCounts, ReadSeries, Series, StatisticsNow

_MINUTE: Final = 60_000
_HOUR: Final = 3_600_000
_DAY_OF_MINUTES: Final = 1440
_DAY_OF_HOURS: Final = 24
_BLANK: Final = 20
"""So many blank lines at the end of an output are passed over."""
_CUT: Final = 500
_PROMPT: Final = 200


class Waits(Struct, frozen=True):
    """A directory in which tasks wait: the head of the next one, and the beginning of its prompt, if it is still there."""

    path: str
    host: str
    waiting: int
    running: int
    oldest_at: Millis | None
    head: Head | None
    prompt: str | None


class NowReads(StatisticsReads):
    """Queries for those who look often."""

    async def statistics_now(self, now: Millis, visible: PathScope) -> StatisticsNow:
        """Counts by status, what needs a person, throughput, and what was used today."""
        (by_status, _), needed, throughput, used = await asyncio.gather(
            self._counts(visible), self._needed(visible), self._throughput(now, visible), self.used_today(now, visible)
        )
        return StatisticsNow(by_status=by_status, needs_person=needed, throughput=throughput, used_today=used)

    async def _needed(self, visible: PathScope) -> int:
        using, order = self._dialect.using.format("tasks_unfinished"), self._dialect.order("tasks_unfinished")
        where = all_of([NEEDS_PERSON, within(visible.patterns, "t.path")])
        sql = (
            f"SELECT count(*) FROM (SELECT t.path, t.hold, t.hold_until FROM tasks t {using}"
            f" WHERE t.status = 'parked' AND {UNFINISHED} ORDER BY {order} DESC LIMIT {COUNTED}) t WHERE {where.sql}"
        )
        ((found,),) = await self._fetch(sql, where.params)
        return int(found)

    async def series(self, query: ReadSeries, now: Millis, visible: PathScope) -> Series:
        """What happened by minute, and how long attempts ran by hour."""
        minute, hour = now // _MINUTE, now // _HOUR
        counts, buckets = await asyncio.gather(
            self._rates.since(minute - _DAY_OF_MINUTES, minute, visible),
            self._durations.since(hour - _DAY_OF_HOURS, hour, visible),
        )
        happened = {row[0]: row[1:] for row in counts}
        ran: dict[int, Counter[int]] = {}
        for at, bucket, n in buckets:
            ran.setdefault(at, Counter())[bucket] += n
        return Series(
            minutes=[_minute(at, happened.get(at, (0, 0, 0, 0))) for at in range(minute - query.minutes + 1, minute + 1)],
            hours=[_hour(at, ran.get(at, Counter())) for at in range(hour - query.hours + 1, hour + 1)],
        )

    async def waiting_in(self, query: ListWaiting, offset: int, visible: PathScope) -> Listing[Waits]:
        """The directories in which tasks wait from `offset` on, one more than a page; the work paths must be canonical.

        Those where none runs come first, then those with most waiting tasks.
        """
        where = all_of([within(asked(query.work_path, recursive=query.recursive), "path"), within(visible.patterns, "path")])
        rows = await self._fetch(
            "SELECT s.path, s.host, s.waiting, s.running, s.priorities, count(*) OVER () FROM ("
            "SELECT path, host, sum(CASE WHEN status = 'waiting' THEN n ELSE 0 END) AS waiting,"
            " sum(CASE WHEN status = 'running' THEN n ELSE 0 END) AS running,"
            " sum(CASE WHEN status = 'waiting' THEN 1 ELSE 0 END) AS priorities"
            f" FROM task_counts WHERE n > 0 AND status IN ('waiting', 'running') AND {where.sql} GROUP BY path, host) s"
            " WHERE s.waiting > 0 ORDER BY CASE WHEN s.running = 0 THEN 0 ELSE 1 END, s.waiting DESC, s.path, s.host"
            " LIMIT ? OFFSET ?",
            (*where.params, query.limit + 1, offset),
        )
        mixed = {path for path, _, _, _, priorities, _ in rows if priorities > 1}
        directories = {(path, host) for path, host, *_ in rows}
        oldest, first = await asyncio.gather(self._oldest(directories, mixed), self._next_in({path for path, _ in directories}))
        heads = await self._heads([stream.task_id for stream in first.values()])
        items = []
        for path, host, waiting, running, *_ in rows:
            stream = first.get((path, host))
            head, prompt = heads.get(stream.task_id, (None, None)) if stream else (None, None)
            items.append(Waits(path, host, int(waiting), int(running), oldest.get((path, host)), head, prompt))
        total = rows[0][5] if rows else offset
        return Listing(items=items, total=min(total, COUNTED), total_exact=total <= COUNTED)

    async def _next_in(self, paths: Collection[str]) -> dict[tuple[str, str], Stream]:
        """The stream of each directory whose turn is next."""
        found: dict[tuple[str, str], Stream] = {}
        for stream in await self._streams(paths, 1):
            best = found.get((stream.path, stream.host))
            if best is None or (stream.rank, stream.task_id) < (best.rank, best.task_id):
                found[(stream.path, stream.host)] = stream
        return found

    async def _heads(self, ids: Collection[int]) -> dict[int, tuple[Head, str | None]]:
        """Tasks by id, with the beginning of their prompts."""
        among = self._dialect.each.format("?")
        rows = await self._fetch(
            f"SELECT {HEAD_COLUMNS}, substr(i.prompt, 1, {_PROMPT}) FROM tasks t JOIN task_inputs i ON i.task_id = t.id"
            f" WHERE t.id IN (SELECT CAST(value AS BIGINT) FROM {among})",
            (json.dumps(sorted(ids)),),
        )
        return {head.id: (head, row[-1]) for row in rows for head in (head_of(row),)}

    async def last_output(self, ids: Collection[int], visible: PathScope) -> list[LastLine]:
        """The last line of the output of each of these tasks that is not blank, by task."""
        where = all_of([one_of("t.id", ids), within(visible.patterns, "t.path")])
        rows = await self._fetch(
            f"SELECT l.task_id, l.number, l.lease_no, l.at, l.stream, substr(l.text, 1, {_CUT})"
            " FROM tasks t JOIN task_logs l ON l.task_id = t.id AND l.number = (SELECT max(m.number) FROM"
            f" (SELECT k.number, k.text FROM task_logs k WHERE k.task_id = t.id ORDER BY k.number DESC LIMIT {_BLANK}) m"
            f" WHERE trim(m.text) <> '') WHERE {where.sql} ORDER BY l.task_id",
            where.params,
        )
        return [
            LastLine(task_id=task_id, number=number, lease_no=lease_no, at=moment(at), stream=LogStream(stream), text=text)
            for task_id, number, lease_no, at, stream, text in rows
        ]


def _minute(at: int, counts: tuple[int, ...]) -> MinuteCounts:
    created, completed, failed, cancelled = map(int, counts)
    return MinuteCounts(at=moment(at * _MINUTE), created=created, completed=completed, failed=failed, cancelled=cancelled)


def _hour(at: int, buckets: Counter[int]) -> HourDurations:
    p50, p95, p99 = percentiles(buckets.items(), 0.5, 0.95, 0.99)
    return HourDurations(at=moment(at * _HOUR), count=buckets.total(), p50_ms=p50, p95_ms=p95, p99_ms=p99)
