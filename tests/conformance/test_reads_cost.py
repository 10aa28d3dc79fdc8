"""Promise 8 for reads: what people look at costs the same with many finished tasks as with few."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.store.reads import SQLITE, Reads
from orchestrator.store.rows import HEAD_FIELDS
from orchestrator.store.sqlite.engine import sqlite3
from tests.rig import Rig
from worker_client.contract.attempts import ListAttempts
from worker_client.contract.directories import ListDirectories
from worker_client.contract.enums import Status
from worker_client.contract.tasks import ListTasks, TaskFilter

NOW = 1_800_000_100_000
BELOW_A = PathScope((Pattern("/a", below=True),))
READS: dict[str, Callable[[Reads], Awaitable[Any]]] = {
    "task": lambda reads: reads.task(3, EVERYWHERE),
    "newest": lambda reads: reads.tasks(ListTasks(limit=10), EVERYWHERE),
    "waiting": lambda reads: reads.tasks(ListTasks(status=[Status.WAITING]), EVERYWHERE),
    "waiting in a directory": lambda reads: reads.tasks(ListTasks(status=[Status.WAITING], work_path=["/a"]), EVERYWHERE),
    "running in a directory": lambda reads: reads.tasks(ListTasks(status=[Status.RUNNING], work_path=["/a"]), EVERYWHERE),
    "unfinished below": lambda reads: reads.tasks(
        ListTasks(status=[Status.WAITING, Status.FAILED], work_path=["/"], recursive=True), EVERYWHERE
    ),
    "waiting in a scope": lambda reads: reads.tasks(ListTasks(status=[Status.WAITING]), BELOW_A),
    "of a run": lambda reads: reads.tasks(ListTasks(run_id=5), EVERYWHERE),
    "of a schedule": lambda reads: reads.tasks(ListTasks(schedule_id=5), EVERYWHERE),
    "failed ids": lambda reads: reads.task_ids(TaskFilter(), EVERYWHERE, statuses=[Status.FAILED], after=0, limit=10),
    "history": lambda reads: reads.attempts_of(3, EVERYWHERE),
    "attempts of a task": lambda reads: reads.attempts(ListAttempts(task_id=3), EVERYWHERE),
    "statistics": lambda reads: reads.statistics(NOW, EVERYWHERE),
    "statistics of a scope": lambda reads: reads.statistics(NOW, BELOW_A),
    "gauges": lambda reads: reads.snapshot(NOW),
    "directories": lambda reads: reads.directories(ListDirectories(), EVERYWHERE),
    "holdings": lambda reads: reads.holdings(EVERYWHERE),
    "running": lambda reads: reads.running(),
    "events": lambda reads: reads.events(2, 10, EVERYWHERE),
    "ping": lambda reads: reads.ping(),
}
COUNTED = {"newest"}
"""Lists that count, up to 10,000, what they list."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cost")
    rig = Rig(directory)
    for path in ("/a", "/a/b", "/c"):
        for _ in range(20):
            rig.add(path, priority=len(path) - 1)
    for grant in rig.claim("/", recursive=True, limit=10, lease_ms=60_000):
        rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease))
    done = rig.running("/a", priority=3)
    rig.do(ops.Complete(task_id=done.task_id, lease=done.lease))
    rig.close()
    return directory / "queue.db"


class Counting:
    """Reads over a connection that counts the steps of SQLite's machine, in hundreds."""

    def __init__(self, file: Path) -> None:
        self.connection = sqlite3.connect(str(file))
        self.hundreds = 0
        self.reads = Reads(self.fetch, SQLITE)
        self.connection.set_progress_handler(self.tick, 100)

    def tick(self) -> int:
        self.hundreds += 1
        return 0

    async def fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.execute(sql, params).fetchall()
        return rows

    def cost(self, read: Callable[[Reads], Awaitable[Any]]) -> int:
        async def run() -> None:
            await read(self.reads)

        self.hundreds = 0
        asyncio.run(run())
        return self.hundreds

    def finish_more(self, copies: int) -> None:
        """Many more completed tasks and attempts in the same directories."""
        self.connection.set_progress_handler(None, 0)
        columns = ", ".join(f"n.value + {1000}" if name == "id" else name for name in HEAD_FIELDS)
        numbers = f"WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {copies})"  # noqa: S608 - numbers are ours
        self.connection.executescript(
            f"{numbers} INSERT INTO tasks ({', '.join(HEAD_FIELDS)}) SELECT {columns} FROM n, tasks WHERE status = 'completed';"  # noqa: S608 - names are ours
            f"{numbers} INSERT INTO attempts (task_id, lease_no, attempt, outcome, path, host, kind, started_at, ended_at)"
            " SELECT n.value + 1000, 1, 1, 'completed', '/a', '', 'agent', 1, 2 FROM n;"
            f"UPDATE task_counts SET n = n + {copies} WHERE status = 'completed';"
        )
        self.connection.set_progress_handler(self.tick, 100)


@pytest.fixture(scope="module")
def costs(file: Path) -> Iterator[dict[str, tuple[int, int]]]:
    """The cost of each read with one finished task, and with 20,000."""
    counting = Counting(file)
    few = {name: counting.cost(read) for name, read in READS.items()}
    counting.finish_more(20_000)
    many = {name: counting.cost(read) for name, read in READS.items()}
    yield {name: (few[name], many[name]) for name in READS}
    counting.connection.close()


@pytest.mark.parametrize("name", READS)
def test_the_past_costs_nothing(costs: dict[str, tuple[int, int]], name: str) -> None:
    few, many = costs[name]
    # Ten steps for each of 20,000 tasks would be 2,000 hundreds.
    assert many <= few + (700 if name in COUNTED else 5), (few, many)


def test_what_must_look_at_the_past_is_noticed(costs: dict[str, tuple[int, int]], file: Path) -> None:
    assert costs
    counting = Counting(file)
    assert counting.cost(lambda reads: reads.tasks(ListTasks(q="nowhere"), EVERYWHERE)) > 2000
    counting.connection.close()
