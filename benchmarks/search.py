"""Searching a million tasks: rare and common words, Chinese ones of two signs, with filters and for keys that see little.

Asked of the store, without HTTP, for the first page of 50. Texts are some 300 characters long. *unread*: while so many tasks have
been created since the index was brought up to date, which a search looks at directly.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import psycopg
from msgspec import Struct

from benchmarks import bulk
from benchmarks.postgres import bulk as bulk_postgres
from benchmarks.postgres.cluster import cluster, run
from benchmarks.report import Report
from orchestrator.domain.indexing import ONLY
from orchestrator.domain.operations import Enqueue, Operation, Submission
from orchestrator.domain.outcomes import Decision
from orchestrator.domain.principal import EVERYWHERE, SYSTEM, PathScope, Pattern, Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Inputs, NewTask
from orchestrator.loops.indexer import Indexer
from orchestrator.queue.feed import Feed
from orchestrator.settings import Database
from orchestrator.store.choice import store
from orchestrator.store.protocol import Store
from orchestrator.store.sqlite.engine import sqlite3
from worker_client.contract.enums import Status
from worker_client.contract.tasks import ListTasks

USUAL_MS: Final = 50.0
MOST_MS: Final = 1_000.0
_TOGETHER: Final = 1_000
_ONE_KEY: Final = PathScope((Pattern("/bulk/7", below=True),))
_SEARCHES: Final[dict[str, tuple[ListTasks, PathScope]]] = {
    "rare word": (ListTasks(q="needle"), EVERYWHERE),
    "word in 1 of 100": (ListTasks(q="regression"), EVERYWHERE),
    "word in each": (ListTasks(q="tests"), EVERYWHERE),
    "beginning of words in each": (ListTasks(q="te"), EVERYWHERE),
    "two words, each in half": (ListTasks(q="even third"), EVERYWHERE),
    "phrase": (ListTasks(q='"regression in checkout"'), EVERYWHERE),
    "no such word": (ListTasks(q="nowhere"), EVERYWHERE),
    "Chinese, 1 of 1,000": (ListTasks(q="登录"), EVERYWHERE),
    "Chinese, half": (ListTasks(q="任务"), EVERYWHERE),
    "Chinese, one sign": (ListTasks(q="录"), EVERYWHERE),
    "Chinese, four signs": (ListTasks(q="登录页面"), EVERYWHERE),
    "rare word, waiting": (ListTasks(q="needle", status=[Status.WAITING]), EVERYWHERE),
    "word in each, waiting": (ListTasks(q="tests", status=[Status.WAITING]), EVERYWHERE),
    "word in each, failed (none)": (ListTasks(q="tests", status=[Status.FAILED]), EVERYWHERE),
    "word in each, one directory": (ListTasks(q="tests", work_path=["/bulk/7"]), EVERYWHERE),
    "word in each, limited key": (ListTasks(q="tests"), _ONE_KEY),
    "word in 1 of 100, limited key": (ListTasks(q="regression"), _ONE_KEY),
    "word in each, offset 5,000": (ListTasks(q="tests", offset=5_000), EVERYWHERE),
}
_PROMPT: Final = " || ".join((
    "'Make the tests pass in module m' || (task_id * 31 % 5003)",
    "CASE task_id % 100000 WHEN 7 THEN ' needle' ELSE '' END",
    "CASE task_id % 100 WHEN 7 THEN ' a regression in checkout' ELSE '' END",
    "CASE task_id % 2 WHEN 0 THEN ' even 任务' ELSE ' odd' END",
    "CASE task_id % 3 WHEN 0 THEN ' third' ELSE '' END",
    "CASE task_id % 1000 WHEN 7 THEN ' 请修复登录页面' ELSE '' END",
    *(f"' {letter}' || (task_id * {n} % {201 + 97 * n})" for n, letter in enumerate("abcdefghijklmnopqrstuvwxyz", 37)),
))  # fmt: skip


class Sizes(Struct, frozen=True):
    """How many tasks there are, how often each question is asked, and how many tasks are put in then."""

    waiting: int = 20_000
    finished: int = 980_000
    directories: int = 1_000
    rounds: int = 20
    more: int = 10_000


SMALL: Final = Sizes(waiting=1_000, finished=9_000, directories=100, rounds=5, more=1_000)


class _Queue:
    """As much of a queue as the indexer needs."""

    def __init__(self, opened: Store) -> None:
        self.reads = opened.reads
        self.feed = Feed()
        self._store = opened

    async def submit(self, op: Operation, by: Principal) -> Any:
        commit = await self._store.commit([Submission(op, by)], Rules())
        found: list[Decision] = commit.decisions
        return found[0].outcome


def _texts(count: int) -> list[str]:
    """The statements that give each task its texts, and leave the index to be made."""
    return [
        f"UPDATE task_inputs SET prompt = {_PROMPT}",  # noqa: S608 - ours
        f"UPDATE task_index SET unread = {count} WHERE id = {ONLY}",  # noqa: S608 - ours
    ]


async def _measured(report: Report, name: str, url: str, sizes: Sizes) -> list[list[Any]]:
    """Make the index, ask, and put more in."""
    opened = store(Database(url=url))
    await opened.open()
    try:
        indexer = Indexer(_Queue(opened))  # type: ignore[arg-type]
        started = time.perf_counter()
        await indexer.catch_up()
        report.say(f"{name}: the index of what was there was made in {time.perf_counter() - started:.0f} s.")
        rows = [[what, name, *await _asked(opened, query, visible, sizes.rounds)] for what, (query, visible) in _SEARCHES.items()]
        for n in range(0, sizes.more, _TOGETHER):
            await opened.commit([Submission(Enqueue(tasks=_new(n), many=True), SYSTEM)], Rules())
            if n == 0:
                asked = await _asked(opened, ListTasks(q="needle"), EVERYWHERE, sizes.rounds)
                rows.append([f"rare word, {_TOGETHER:,} unread", name, *asked])
        started, cpu = time.perf_counter(), time.process_time()
        await indexer.catch_up()
        report.bound(f"{name}: putting a new task in", 1e6 * (time.perf_counter() - started) / sizes.more, " µs")
        report.say(f"{name}: {1e6 * (time.process_time() - cpu) / sizes.more:.0f} µs of them are the server's processor time.")
        return rows
    finally:
        await opened.close()


def _new(first: int) -> tuple[NewTask, ...]:
    texts = (f"Make the tests pass in module m{n} without a regression of {n * 37} in part {n % 251}" for n in range(_TOGETHER))
    return tuple(NewTask(path=f"/bulk/{first % 1000}", inputs=Inputs(prompt=f"{text} {first}")) for text in texts)


async def _asked(opened: Store, query: ListTasks, visible: PathScope, rounds: int) -> tuple[int, str, float, float]:
    """How many are found, whether those are all, p50 and p95 in milliseconds."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        found = await opened.reads.tasks(query, visible)
        times.append(1000 * (time.perf_counter() - started))
    return found.total, "" if found.total_exact else "at least", median(times[1:]), quantiles(times[1:], n=20)[18]


@contextmanager
def _sqlite(directory: Path, sizes: Sizes) -> Iterator[str]:
    path = directory / "tasks.db"
    bulk.fill(path, waiting=sizes.waiting, finished=sizes.finished, directories=sizes.directories)
    connection = sqlite3.connect(str(path))
    for statement in _texts(sizes.waiting + sizes.finished):
        connection.execute(statement)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    yield f"sqlite:///{path}"


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - all parts are called alike
    sizes = SMALL if small else Sizes()
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name, _sqlite(Path(name), sizes) as url:
        path = Path(name) / "tasks.db"
        before = path.stat().st_size
        rows += run(_measured(report, "SQLite", url, sizes))
        report.bound("SQLite: size of the index", (path.stat().st_size - before) / 1e6, " MB")
        report.say(f"SQLite: the file of {before / 1e6:,.0f} MB has {path.stat().st_size / 1e6:,.0f} MB with the index.")
    with cluster(None, None) as server:
        url = server.database("search")
        bulk_postgres.fill(url, waiting=sizes.waiting, finished=sizes.finished, directories=sizes.directories)
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in _texts(sizes.waiting + sizes.finished):
                connection.execute(statement.encode())
        rows += run(_measured(report, "PostgreSQL", url, sizes))
        for what, part in (("index", "pg_indexes_size('task_words')"), ("words", "pg_table_size('task_words')")):
            ((size,),) = server.ask(f"SELECT {part}", url)
            report.bound(f"PostgreSQL: size of the {what}", size / 1e6, " MB")
    for what, store_name, _, _, _, p95 in rows:
        usual = not what.endswith(("each", "half", "none)", "5,000"))
        report.bound(f"{store_name}: {what}, p95", p95, " ms", most=USUAL_MS if usual else MOST_MS)
    report.table("The first page of 50", ["search", "store", "found", "", "p50 ms", "p95 ms"], rows)
