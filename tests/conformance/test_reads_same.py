"""Both databases, with the same rows in them, give the same answers."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar
from unittest import mock

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.moments import moment
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.domain.task import Inputs, Outputs
from orchestrator.store.postgres.migrate import migrate
from orchestrator.store.postgres.reading import Readers
from orchestrator.store.reads import POSTGRES, Reads, driving
from orchestrator.store.sqlite.engine import sqlite3
from tests import postgres
from tests.reading import read
from tests.rig import HOUR, START, Rig, interest
from tests.searching import has_words
from worker_client.contract.attempts import ListAttempts
from worker_client.contract.directories import ListDirectories, ListWaiting
from worker_client.contract.enums import AttemptOutcome, LogStream, Priority, Status
from worker_client.contract.statistics import ReadSeries
from worker_client.contract.tasks import ListTasks, TaskFilter
from worker_client.contract.usage import ListUsage, UsageBy, UsageSort

T = TypeVar("T")
PATHS: Final = [
    "/",
    "/a",
    "/a/b",
    "/a/b/c",
    "/a-b",
    "/a b",
    "/a%",
    "/ä",
    "/Ä",
    "/\U0001f600/x",
    "C:\\",
    "C:\\x",
    "\\\\s\\d",
    "/it's",
]
TEXTS: Final = [
    "do it", "Do It", "100%", "a_b", "aXb", "Back\\slash", "\\", "'", '"quoted"', "ÄRGER", "ärger", "STRASSE", "straße",
    "\u212aelvin", "kelvin", "İstanbul", "\U0001f600", "?1 {x}", "line\nbreak", "",
]  # fmt: skip
TAGS: Final = ["x", "X", 'say "hi"', "back\\", ",", "[", "ä", "\U0001f600", "?", "{}", "null", "1", "x y", "\n", 'a,"b']
NEEDLES: Final = [*TEXTS, "%", "_", "\\_", "%%", "a%b", "do", "O I", "ä", "Ä", "k", "K", "ss", "i", "\\s", "\x7f", "?"]
DAY_ZERO: Final = moment(START).date()
HOSTS: Final = ["", "box", "Box"]
TABLES: Final = (
    "tasks", "task_inputs", "task_outputs", "dependencies", "task_keys", "attempts", "task_logs", "events",
    "directories", "task_counts", "task_rates", "task_durations", "task_usage", "tag_usage",
)  # fmt: skip


def filled(rig: Rig) -> None:
    """Tasks, attempts, settings and output of all sorts, with text that databases might read in different ways."""

    def pick(values: list[T], number: int) -> T:
        return values[number % len(values)]

    for number in range(240):
        rig.time.pass_(number * 37 % 11)
        rig.add(
            pick(PATHS, number),
            host=pick(HOSTS, number // 5),
            kind=pick(["agent", "script", "http"], number // 3),
            title=pick([None, *TEXTS], number // 2),
            priority=number * 7 % 4,
            tags=tuple({pick(TAGS, number), pick(TAGS, number * 5 // 3)}) if number % 4 else (),
            inputs=Inputs(prompt=pick(TEXTS, number * 3), description=pick([None, *TEXTS], number // 7), spec='{"a": "ä"}'),
            delay_ms=pick([None, None, None, 10**9], number),
            requires_approval=number % 23 == 0,
            exclusive=number % 9 == 0,
            schedule_id=pick([None, 1, 2], number // 4),
            run_id=pick([None, 1, 2], number // 6),
            workflow_id=pick([None, "w", "W"], number),
        )
    for round_ in range(3):
        for host in HOSTS:
            wanted = interest(*PATHS, kinds=("agent", "script", "http"), host=host)
            granted = rig.do(ops.Claim(interest=wanted, worker_id=f"w{round_}", lease_ms=HOUR, limit=40, account="team"))
            for grant in granted.grants:  # type: ignore[attr-defined]
                ended(rig, grant.task_id, grant.lease)
    for number, path in enumerate(PATHS[:9]):
        rig.do(ops.SetDirectory(path=path, host=pick(HOSTS, number), paused=number % 3 == 0, reason=pick(TEXTS, number)))
        rig.do(ops.SetDirectory(path=path, host="", max_running=number + 1, daily_attempts=number, daily_micros=10_000 * number))
    for path in ("/a", "/a/b"):
        rig.add(path, depends_on=(rig.add(path, delay_ms=10**9), 1))
    for task_id in range(1, 240, 31):
        rig.outcomes(ops.Cancel(task_id=task_id, reason="ä'\""), ops.Delete(task_id=task_id + 1))


def ended(rig: Rig, task_id: int, lease: str) -> None:
    rig.time.pass_(task_id * 13 % 700)
    lines = tuple(ops.LogLine(text, LogStream.STDOUT, None) for text in TEXTS[: task_id % len(TEXTS)])
    outputs = Outputs(session_id="s", usage_now='{"input_tokens": 5, "cost_usd": 0.25}', progress='{"percent": 5}')
    rig.do(ops.Heartbeat(task_id=task_id, lease=lease, outputs=outputs))
    if lines:
        rig.do(ops.AppendLogs(task_id=task_id, lease=lease, lines=lines))
    error = '{"type": "E", "message": "ä \\"x\\""}'
    ends: list[ops.Operation | None] = [
        None,
        ops.Complete(task_id=task_id, lease=lease, result='{"b": 2}', usage='{"cost_usd": 1.5, "model": "M\u00e4"}'),
        ops.Complete(task_id=task_id, lease=lease),
        ops.Fail(task_id=task_id, lease=lease, error=error, retryable=False),
        ops.Fail(task_id=task_id, lease=lease, error=error),
        ops.Park(task_id=task_id, lease=lease, hold="question"),
        ops.Release(task_id=task_id, lease=lease),
        ops.Cancel(task_id=task_id),
    ]
    end = ends[task_id * 5 % len(ends)]
    if end is not None:
        rig.outcomes(end)


def copied(rig: Rig, url: str) -> None:
    """The rows of a rig's store, in another database."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for table in TABLES:
            columns = ", ".join(name for _, name, *_ in rig.fetch(f"PRAGMA table_info({table})"))
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rig.fetch(f"SELECT {columns} FROM {table}"):  # noqa: S608 - names are ours
                    copy.write_row(row)
        for name, last in rig.fetch("SELECT name, seq FROM sqlite_sequence"):
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [name, last])


class Both:
    """The same rows in two databases, and what each answers."""

    def __init__(self, directory: Path) -> None:
        self.rig = Rig(directory)
        self.url = postgres.database(directory)
        migrate(self.url)
        self.readers = Readers(self.url, most=2)
        read(self.rig, self.readers.open())
        self.other = Reads(self.readers.fetch, POSTGRES)

    def same(self, ask: Callable[[Reads], Awaitable[T]]) -> T:
        """What both answer."""
        one, other = (read(self.rig, ask(reads)) for reads in (self.rig.store.reads, self.other))
        assert one == other
        return one

    def close(self) -> None:
        read(self.rig, self.readers.close())
        self.rig.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    both = Both(tmp_path_factory.mktemp("both"))
    filled(both.rig)
    copied(both.rig, both.url)
    yield both
    both.close()


def rarely(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    """Mostly nothing: of a filter of which everything is set, nothing is left."""
    return st.one_of(*[st.none()] * 5, strategy)


def some(values: list[T]) -> st.SearchStrategy[list[T] | None]:
    return rarely(st.lists(st.sampled_from(values), max_size=4))


def times(least: int = START - 10, most: int = START + 10_000) -> st.SearchStrategy[datetime | None]:
    return rarely(st.integers(least, most).map(moment))


ANY_TEXT: Final = st.sampled_from(NEEDLES) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3
)
SCOPES: Final = st.just(EVERYWHERE) | st.lists(
    st.builds(Pattern, st.sampled_from([*PATHS, "/none"]), st.booleans()), max_size=4, unique=True
).map(lambda patterns: PathScope(tuple(patterns)))
FILTER: Final = {
    "status": some(list(Status)),
    "priority": some(list(Priority)),
    "kind": some(["agent", "script", "none"]),
    "tag": rarely(st.lists(st.sampled_from(TAGS) | ANY_TEXT, max_size=2)),
    "work_path": some([*PATHS, "/none"]),
    "recursive": st.booleans(),
    "worker_id": rarely(st.sampled_from(["w0", "w1", "W1"])),
    "schedule_id": rarely(st.sampled_from([1, 2**63 - 1])),
    "workflow_id": rarely(st.sampled_from(["w", "é"])),
    "run_id": rarely(st.sampled_from([1, 2])),
    "q": rarely(ANY_TEXT),
    "created_after": times(),
    "created_before": times(),
    "needs_person": st.sampled_from([False, False, False, True]),
}
PAGE: Final = {"limit": st.integers(1, 60), "offset": st.sampled_from([0, 0, 0, 3, 50, 2**31])}
BOUNDS: Final = st.sampled_from([(10_000, 100), (10_000, 100), (20, 100), (10_000, 1)])
"""From how many tasks, and of how many directories, follows which index is used."""


@given(st.builds(ListTasks, excerpt=rarely(st.integers(1, 9)), **FILTER, **PAGE), SCOPES, BOUNDS)
def test_lists_of_tasks(both: Both, query: ListTasks, visible: PathScope, bounds: tuple[int, int]) -> None:
    with mock.patch.object(driving, "COUNTED", bounds[0]), mock.patch.object(driving, "_MOST_ARMS", bounds[1]):
        page = both.same(lambda reads: reads.tasks(query, visible))
        for _ in range(3):
            if page.next_cursor is None:
                break
            cursor = page.next_cursor
            page = both.same(lambda reads: reads.tasks(replace(query, offset=0, cursor=cursor), visible))  # noqa: B023 - called at once


@pytest.mark.parametrize("needle", [needle for needle in NEEDLES if needle])
def test_words_are_found_where_a_look_at_each_task_finds_them(both: Both, needle: str) -> None:
    found = {view.head.id for view in both.same(lambda reads: reads.tasks(ListTasks(q=needle, limit=1000), EVERYWHERE)).items}
    views = both.same(lambda reads: reads.tasks(ListTasks(limit=1000), EVERYWHERE)).items
    assert found == {view.head.id for view in views if has_words(view, needle)}


@pytest.mark.parametrize("tag", [*TAGS, "y", "Ä", '"', "%", "say"])
def test_a_tag_is_found_when_it_is_the_same(both: Both, tag: str) -> None:
    found = {view.head.id for view in both.same(lambda reads: reads.tasks(ListTasks(tag=[tag], limit=1000), EVERYWHERE)).items}
    assert found == {number for number, head in both.rig.heads().items() if tag in head.tags}


@given(
    st.builds(TaskFilter, **FILTER), SCOPES, st.lists(st.sampled_from(Status)), st.integers(0, 250), st.integers(1, 60), BOUNDS
)
def test_ids_of_tasks(
    both: Both, where: TaskFilter, visible: PathScope, statuses: list[Status], after: int, limit: int, bounds: tuple[int, int]
) -> None:
    with mock.patch.object(driving, "COUNTED", bounds[0]), mock.patch.object(driving, "_MOST_ARMS", bounds[1]):
        both.same(lambda reads: reads.task_ids(where, visible, statuses=statuses, after=after, limit=limit))


@given(
    st.builds(
        ListAttempts,
        task_id=rarely(st.sampled_from([1, 2, 7, 2**63 - 1])),
        outcome=some(list(AttemptOutcome)),
        work_path=some([*PATHS, "/none"]),
        recursive=st.booleans(),
        worker_id=rarely(st.sampled_from(["w0", "w1"])),
        started_after=times(START + 1000, START + 100_000),
        started_before=times(START + 1000, START + 100_000),
        **PAGE,
    ),
    SCOPES,
)
def test_attempts(both: Both, query: ListAttempts, visible: PathScope) -> None:
    both.same(lambda reads: reads.attempt_stats(query, visible))
    page = both.same(lambda reads: reads.attempts(query, visible))
    while page.next_cursor is not None:
        cursor = page.next_cursor
        page = both.same(lambda reads: reads.attempts(replace(query, offset=0, cursor=cursor), visible))  # noqa: B023 - called at once


@given(
    st.builds(ListDirectories, work_path=st.none() | st.sampled_from(PATHS), recursive=st.booleans(), **PAGE),
    SCOPES,
    st.integers(0, 30 * HOUR),
    st.integers(0, 2000),
)
def test_directories_numbers_leases_and_events(
    both: Both, query: ListDirectories, visible: PathScope, later: int, after: int
) -> None:
    both.same(lambda reads: reads.directories(query, visible))
    both.same(lambda reads: reads.statistics(both.rig.time.at + later, visible))
    both.same(lambda reads: reads.statistics_now(both.rig.time.at + later, visible))
    both.same(lambda reads: reads.series(ReadSeries(), both.rig.time.at + later, visible))
    both.same(lambda reads: reads.last_output(list(range(after % 240 + 1, after % 240 + 50)), visible))
    both.same(lambda reads: reads.holdings(visible))
    both.same(lambda reads: reads.events(after, query.limit, visible))


@given(
    st.builds(
        ListWaiting,
        work_path=st.none() | st.lists(st.sampled_from(PATHS), max_size=2),
        recursive=st.booleans(),
        limit=st.integers(1, 9),
    ),
    SCOPES,
    st.integers(0, 5),
)
def test_directories_that_wait(both: Both, query: ListWaiting, visible: PathScope, offset: int) -> None:
    both.same(lambda reads: reads.waiting_in(query, offset, visible))


@given(
    st.builds(
        ListUsage,
        by=st.lists(st.sampled_from([by for by in UsageBy if by is not UsageBy.TAG]), min_size=1, max_size=3),
        since=st.none() | st.just(DAY_ZERO),
        until=st.none() | st.just(DAY_ZERO),
        work_path=st.none() | st.lists(st.sampled_from(PATHS), max_size=2),
        recursive=st.booleans(),
        host=st.none() | st.lists(st.sampled_from(HOSTS), max_size=2),
        model=st.none() | st.lists(st.sampled_from(["", "M\u00e4", "m"]), max_size=2),
        limit=st.integers(1, 5),
        offset=st.integers(0, 3),
        sort=st.sampled_from(UsageSort),
    ),
    SCOPES,
)
def test_what_was_used(both: Both, query: ListUsage, visible: PathScope) -> None:
    both.same(lambda reads: reads.usage(query, visible))


@given(
    st.builds(
        ListUsage,
        by=st.lists(st.sampled_from([UsageBy.DAY, UsageBy.DIRECTORY]), max_size=2).map(lambda by: [*by, UsageBy.TAG]),
        work_path=st.none() | st.lists(st.sampled_from(PATHS), max_size=2),
        recursive=st.booleans(),
        tag=st.none() | st.lists(st.sampled_from(TAGS), max_size=3),
        limit=st.integers(1, 5),
        offset=st.integers(0, 9),
        sort=st.sampled_from(UsageSort),
    ),
    SCOPES,
)
def test_what_was_used_by_tag(both: Both, query: ListUsage, visible: PathScope) -> None:
    both.same(lambda reads: reads.usage(query, visible))


@given(st.integers(0, 250), SCOPES)
def test_one_task(both: Both, number: int, visible: PathScope) -> None:
    both.same(lambda reads: reads.task(number, visible))
    both.same(lambda reads: reads.attempts_of(number, visible))
    both.same(lambda reads: reads.attempt(number, visible))
    both.same(lambda reads: reads.logs(number, number % 7, 5, visible))


def test_what_is_in_the_way_of_each_task(both: Both) -> None:
    found = [both.same(lambda reads: reads.obstacles(head, both.rig.time.at)) for head in both.rig.heads().values()]  # noqa: B023 - called at once
    assert any(one.parents for one in found)
    assert any(one.leases for one in found)
    assert any(one.bounds for one in found)


def test_gauges_and_counts(both: Both) -> None:
    assert both.same(lambda reads: reads.snapshot(both.rig.time.at)).directories
    assert both.same(lambda reads: reads.standstill(both.rig.time.at + HOUR, both.rig.time.at + HOUR)).parked
    assert both.same(lambda reads: reads.waiting())
    assert both.same(lambda reads: reads.running())
    assert both.same(lambda reads: reads.limited())
    assert both.same(lambda reads: reads.still_waiting(range(300)))
    assert both.same(lambda reads: reads.still_waiting([])) == []
    first, last = both.same(lambda reads: reads.event_bounds())
    assert (first, last > 240) == (1, True)
    both.same(lambda reads: reads.ping())
    for path in PATHS:
        for host in HOSTS:
            both.same(lambda reads: reads.directory(path, host, EVERYWHERE))  # noqa: B023 - called at once


def test_the_feed_does_not_begin_again_when_no_event_is_left(tmp_path: Path) -> None:
    both = Both(tmp_path)
    assert both.same(lambda reads: reads.event_bounds()) == (1, 0)
    for _ in range(3):
        both.rig.add()
    copied(both.rig, both.url)
    assert both.same(lambda reads: reads.event_bounds()) == (1, 3)
    with psycopg.connect(both.url, autocommit=True) as one, contextlib.closing(sqlite3.connect(tmp_path / "queue.db")) as other:
        for gone, bounds in ((2, (3, 3)), (3, (4, 3))):
            one.execute("DELETE FROM events WHERE id <= %s", [gone])
            other.execute("DELETE FROM events WHERE id <= ?", [gone])
            other.commit()
            assert both.same(lambda reads: reads.event_bounds()) == bounds
    both.close()
