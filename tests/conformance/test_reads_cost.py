"""Promise 8 for reads: what people look at costs the same with many finished tasks as with few."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.store.postgres import engine, reading
from orchestrator.store.reads import POSTGRES, SQLITE, Dialect, Reads
from orchestrator.store.reads.conditions import ALWAYS
from orchestrator.store.reads.values import cursor_at
from orchestrator.store.rows import HEAD_FIELDS, INPUT_FIELDS
from orchestrator.store.sqlite.engine import sqlite3
from tests import postgres
from tests.reading import read
from tests.rig import STORES, Rig, meddle
from worker_client.contract.attempts import ListAttempts
from worker_client.contract.audit import ListAudit
from worker_client.contract.directories import ListDirectories, ListWaiting
from worker_client.contract.enums import Status
from worker_client.contract.statistics import ReadSeries
from worker_client.contract.tasks import ListTasks, TaskFilter

NOW = 1_800_000_100_000
BELOW_A = PathScope((Pattern("/a", below=True),))
READS: dict[str, Callable[[Reads], Awaitable[Any]]] = {
    "task": lambda reads: reads.task(3, EVERYWHERE),
    "newest": lambda reads: reads.tasks(ListTasks(limit=10), EVERYWHERE),
    "of two directories": lambda reads: reads.tasks(ListTasks(work_path=["/a", "/c"]), EVERYWHERE),
    "waiting": lambda reads: reads.tasks(ListTasks(status=[Status.WAITING]), EVERYWHERE),
    "waiting in a directory": lambda reads: reads.tasks(ListTasks(status=[Status.WAITING], work_path=["/a"]), EVERYWHERE),
    "running in a directory": lambda reads: reads.tasks(ListTasks(status=[Status.RUNNING], work_path=["/a"]), EVERYWHERE),
    "unfinished below": lambda reads: reads.tasks(
        ListTasks(status=[Status.WAITING, Status.FAILED], work_path=["/"], recursive=True), EVERYWHERE
    ),
    "waiting in a scope": lambda reads: reads.tasks(ListTasks(status=[Status.WAITING]), BELOW_A),
    "of a run": lambda reads: reads.tasks(ListTasks(run_id=5), EVERYWHERE),
    "of a schedule": lambda reads: reads.tasks(ListTasks(schedule_id=5), EVERYWHERE),
    "the rest of a list": lambda reads: reads.tasks(ListTasks(status=[Status.WAITING], cursor=cursor_at("t40")), EVERYWHERE),
    "failed ids": lambda reads: reads.task_ids(TaskFilter(), EVERYWHERE, statuses=[Status.FAILED], after=0, limit=10),
    "history": lambda reads: reads.attempts_of(3, EVERYWHERE),
    "attempts of a task": lambda reads: reads.attempts(ListAttempts(task_id=3), EVERYWHERE),
    "statistics": lambda reads: reads.statistics(NOW, EVERYWHERE),
    "statistics of a scope": lambda reads: reads.statistics(NOW, BELOW_A),
    "gauges": lambda reads: reads.snapshot(NOW),
    "standstill": lambda reads: reads.standstill(NOW, NOW),
    "numbers now": lambda reads: reads.statistics_now(NOW, EVERYWHERE),
    "series": lambda reads: reads.series(ReadSeries(), NOW, EVERYWHERE),
    "waiting directories": lambda reads: reads.waiting_in(ListWaiting(), 0, EVERYWHERE),
    "needs a person": lambda reads: reads.tasks(ListTasks(needs_person=True), EVERYWHERE),
    "running, without what is long": lambda reads: reads.tasks(ListTasks(status=[Status.RUNNING], excerpt=100), EVERYWHERE),
    "last lines": lambda reads: reads.last_output([*range(1, 50), *range(60_000, 60_050)], EVERYWHERE),
    "directories": lambda reads: reads.directories(ListDirectories(), EVERYWHERE),
    "holdings": lambda reads: reads.holdings(EVERYWHERE),
    "running": lambda reads: reads.running(),
    "events": lambda reads: reads.events(2, 10, EVERYWHERE),
    "first event": lambda reads: reads.event_bounds(),
    "still waiting": lambda reads: reads.still_waiting([*range(1, 100), *range(60_000, 60_100)]),
    "limits": lambda reads: reads.limited(),
    "newest changes": lambda reads: reads.audit(ListAudit(limit=10), EVERYWHERE),
    "changes before": lambda reads: reads.audit(ListAudit(limit=10, cursor=cursor_at("a40")), EVERYWHERE),
    "credentials": lambda reads: reads.credentials(),
    "attempts for advice, where there are few": lambda reads: reads.latest_tries(NOW, ALWAYS),
    "ping": lambda reads: reads.ping(),
}
COUNTED: Final = {"newest", "of two directories", "attempts for advice, where there are few"}
"""Lists that count, up to 10,000, what they list; and what is searched for among all by halves."""
FINISHED: Final = 20_000
MUCH_LATER: Final = {
    "sqlite": "UPDATE sqlite_sequence SET seq = seq + 30000 WHERE name = 'tasks'",
    "postgres": "SELECT setval(pg_get_serial_sequence('tasks', 'id'), max(id) + 30000) FROM tasks",
}
"""Statements after which ids are so much higher that the finished tasks are before them."""
ATTEMPTS: Final = "attempts (task_id, lease_no, attempt, outcome, path, host, kind, started_at, ended_at)"
EVENTS: Final = "events (id, at, type, task_id, path, host, data)"


class Counting(ABC):
    """Reads over a connection whose work is counted; `free`: how much more may be done with a long past, `counted` by a list."""

    free: int
    counted: int

    def __init__(self, dialect: Dialect) -> None:
        self.reads = Reads(self.fetch, dialect)

    @abstractmethod
    async def fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def cost(self, read: Callable[[Reads], Awaitable[Any]]) -> int: ...

    @abstractmethod
    def run(self, statement: str) -> None: ...

    @abstractmethod
    def learn(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    def ask(self, read: Callable[[Reads], Awaitable[Any]]) -> None:
        async def run() -> None:
            await read(self.reads)

        asyncio.run(run())

    def finish_more(self) -> None:
        """Many more completed tasks and attempts in the same directories."""
        heads = ", ".join("n.value + 1000" if name == "id" else name for name in HEAD_FIELDS)
        inputs = ", ".join(INPUT_FIELDS)
        numbers = f"WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {FINISHED})"  # noqa: S608 - a number
        for columns, values in (
            (f"tasks ({', '.join(HEAD_FIELDS)})", f"{heads} FROM n, tasks WHERE status = 'completed'"),
            (f"task_inputs (task_id, {inputs})", f"n.value + 1000, {inputs} FROM n, task_inputs WHERE task_id = 1"),
            (ATTEMPTS, "n.value + 1000, 1, 1, 'completed', '/a', '', 'agent', 1, 2 FROM n"),
            (EVENTS, "n.value + 1000, 1, 'task.completed', n.value + 1000, '/a', '', '{}' FROM n"),
        ):
            self.run(f"{numbers} INSERT INTO {columns} SELECT {values}")
        self.run(f"UPDATE task_counts SET n = n + {FINISHED} WHERE status = 'completed'")  # noqa: S608 - a number


class Steps(Counting):
    """In hundreds of steps of SQLite's machine: ten for each finished task would be 2,000."""

    free = 5
    counted = 1000

    def __init__(self, directory: Path) -> None:
        super().__init__(SQLITE)
        self.connection = sqlite3.connect(str(directory / "queue.db"), isolation_level=None)
        self.hundreds = 0

    def tick(self) -> int:
        self.hundreds += 1
        return 0

    async def fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.execute(sql, params).fetchall()
        return rows

    def cost(self, read: Callable[[Reads], Awaitable[Any]]) -> int:
        self.hundreds = 0
        self.connection.set_progress_handler(self.tick, 100)
        self.ask(read)
        self.connection.set_progress_handler(None, 0)
        return self.hundreds

    def run(self, statement: str) -> None:
        self.connection.execute(statement)

    def learn(self) -> None:
        """Its plans are told which index to use."""

    def close(self) -> None:
        self.connection.close()


class Tuples(Counting):
    """In rows that PostgreSQL takes from tables and indexes, with old statistics and with new ones."""

    free = 50
    counted = 12_000

    def __init__(self, directory: Path) -> None:
        super().__init__(POSTGRES)
        self.connection: psycopg.Connection[Any] = psycopg.connect(
            postgres.database(directory),
            options=engine.options(reading.SETTINGS),
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
        )
        engine.adapt(self.connection.adapters)
        for (table,) in self.connection.execute("SELECT relname FROM pg_stat_user_tables").fetchall():
            self.run(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        self.learn()

    async def fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self.connection.execute(engine.native(sql), params).fetchall()

    def cost(self, read: Callable[[Reads], Awaitable[Any]]) -> int:
        # By then statements are prepared, and planned without regard to their parameters, if they ever are.
        for _ in range(12):
            before = self.taken()
            self.ask(read)
        return self.taken() - before

    def taken(self) -> int:
        self.run("SELECT pg_stat_force_next_flush()")
        query = (
            "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)"
        )
        ((found,),) = self.connection.execute(query).fetchall()
        return int(found)

    def run(self, statement: str) -> None:
        self.connection.execute(statement)

    def learn(self) -> None:
        """Take new statistics."""
        self.run("ANALYZE")

    def close(self) -> None:
        self.connection.close()


@pytest.fixture(scope="module", params=STORES)
def counting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counting]:
    directory = tmp_path_factory.mktemp("cost")
    rig = Rig(directory, request.param)
    for path in ("/a", "/a/b", "/c"):
        for number in range(20):
            rig.add(path, priority=len(path) - 1, run_id=number, schedule_id=number)
        read(rig, meddle(rig.store, MUCH_LATER[request.param]))
    for grant in rig.claim("/", recursive=True, limit=10, lease_ms=60_000):
        rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease))
    done = rig.running("/a", priority=3)
    rig.do(ops.Complete(task_id=done.task_id, lease=done.lease))
    rig.close()
    counting = Steps(directory) if request.param == "sqlite" else Tuples(directory)
    yield counting
    counting.close()


@pytest.fixture(scope="module")
def costs(counting: Counting) -> dict[str, tuple[int, int]]:
    """The cost of each read with one finished task, and with 20,000."""
    few = {name: counting.cost(read) for name, read in READS.items()}
    counting.finish_more()
    many = {name: counting.cost(read) for name, read in READS.items()}
    counting.learn()
    return {name: (few[name], max(many[name], counting.cost(read))) for name, read in READS.items()}


@pytest.mark.parametrize("name", READS)
def test_the_past_costs_nothing(counting: Counting, costs: dict[str, tuple[int, int]], name: str) -> None:
    few, many = costs[name]
    assert many <= few + (counting.counted if name in COUNTED else counting.free), (few, many)


def test_what_must_look_at_the_past_is_noticed(counting: Counting, costs: dict[str, tuple[int, int]]) -> None:
    few, _ = costs["newest"]
    assert counting.cost(lambda reads: reads.tasks(ListTasks(tag=["nowhere"]), EVERYWHERE)) > few + counting.counted / 2
