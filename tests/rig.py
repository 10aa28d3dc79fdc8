"""A real store for a test: with time, chance and nonces in the test's hand, driven without an event loop in sight."""

import asyncio
import itertools
import shutil
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed, Created, Grant, Outcome
from orchestrator.domain.principal import OPEN, SYSTEM, Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Head, Inputs, NewTask
from orchestrator.store.clock import Clock
from orchestrator.store.postgres.store import PostgresStore
from orchestrator.store.protocol import Commit
from orchestrator.store.rows import HEAD_COLUMNS, head_of
from orchestrator.store.sqlite.store import SQLiteStore
from tests import postgres
from tests.upgrading import beginning
from worker_client.contract.enums import Status
from worker_client.errors import OrchestratorError

T = TypeVar("T")
START: Final = 1_800_000_000_000
MINUTE: Final = 60_000
HOUR: Final = 3_600_000
STORES: Final = ("sqlite", "postgres")
"""The kinds of store that the conformance suite runs on."""


class Time:
    """A wall clock and a steady one that only the test moves."""

    def __init__(self, at: int = START) -> None:
        self.at = at
        self.booted = at - 1_000

    def wall(self) -> int:
        return self.at

    def steady(self) -> int:
        return self.at - self.booted

    def clock(self) -> Clock:
        return Clock(self.wall, self.steady)

    def pass_(self, ms: int) -> int:
        self.at += ms
        return self.at


def _options(time: Time, given: dict[str, Any]) -> dict[str, Any]:
    nonces = itertools.count(1)
    options = {"readers": 1, "clock": time.clock(), "chance": lambda: 0.5, "nonce": lambda: f"{next(nonces):016x}"}
    return options | given


def make_sqlite(directory: Path, time: Time, **options: Any) -> SQLiteStore:
    """An embedded store in an empty or used directory."""
    beginning.copied(directory / "queue.db")
    return SQLiteStore(directory / "queue.db", **_options(time, options))


def make_postgres(directory: Path, time: Time, **options: Any) -> PostgresStore:
    """A store in the database that belongs to a directory."""
    return PostgresStore(postgres.database(directory), **_options(time, options))


def make_store(kind: str, directory: Path, time: Time, **options: Any) -> SQLiteStore | PostgresStore:
    """A store of a kind, with what belongs to an empty or used directory."""
    if kind == "sqlite":
        return make_sqlite(directory, time, **options)
    assert kind == "postgres"
    return make_postgres(directory, time, **options)


async def meddle(store: SQLiteStore | PostgresStore, statement: str) -> None:
    """Change the database behind a store's back."""
    if isinstance(store, SQLiteStore):
        assert store._writer is not None
        await store._writer.run(lambda database: database.execute(statement))
        store._memory.clear()  # with nobody else who writes, it would not look again
    else:
        async with await psycopg.AsyncConnection.connect(store.url, autocommit=True) as connection:
            await connection.execute(statement)


def interest(  # one argument for each of its fields
    *paths: str,
    recursive: bool = False,
    kinds: Iterable[str] = (),
    tags: Iterable[str] = (),
    host: str = "",
    exclusive: bool = False,
    by: Principal = OPEN,
    agent: str = "",
) -> ops.Interest:
    """What an asker takes; `/a` when no path is given."""
    return ops.Interest(
        paths=paths or ("/a",),
        recursive=recursive,
        kinds=tuple(kinds),
        tags=frozenset(tags),
        host=host,
        exclusive=exclusive,
        principal=by,
        agent=agent,
    )


def new_task(path: str = "/a", *, prompt: str | None = "do it", **facts: Any) -> NewTask:
    """A task to be created."""
    return NewTask(path=path, inputs=facts.pop("inputs", None) or Inputs(prompt=prompt), **facts)


def enqueue(*tasks: NewTask) -> ops.Enqueue:
    """The operation that creates tasks."""
    return ops.Enqueue(tasks=tasks, many=len(tasks) > 1)


def claim(wanted: ops.Interest | None = None, worker: str = "w1", **facts: Any) -> ops.Claim:
    """The operation that asks for work; leases last 10 s."""
    return ops.Claim(interest=wanted or interest(), worker_id=worker, lease_ms=facts.pop("lease_ms", 10_000), **facts)


class Runner:
    """An event loop; asyncio's own Runner describes each result in full when it sets its signal handlers."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, awaitable: Awaitable[T]) -> T:
        return self._loop.run_until_complete(awaitable)

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class Rig:
    """A store, opened; `rules` may be changed between commits."""

    def __init__(self, directory: Path, kind: str = "sqlite", *, time: Time | None = None, **options: Any) -> None:
        self.time = time or Time()
        self.rules = Rules(backoff='{"jitter": 0}')
        self.events: list[Any] = []
        self._runner = Runner()
        self.store = make_store(kind, directory, self.time, **options)
        self.opened = self._runner.run(self.store.open())

    def close(self) -> None:
        self._runner.run(self.store.close())
        self._runner.close()

    # Writing

    def commit(self, *batch: ops.Operation | ops.Submission, by: Principal = OPEN) -> Commit:
        """One transaction."""
        submissions = [one if isinstance(one, ops.Submission) else ops.Submission(one, by) for one in batch]
        commit = self._runner.run(self.store.commit(submissions, self.rules))
        self.events += commit.events
        return commit

    def outcomes(self, *batch: ops.Operation | ops.Submission, by: Principal = OPEN) -> list[Outcome | OrchestratorError]:
        """The outcomes of one transaction, refusals among them."""
        return [decision.outcome for decision in self.commit(*batch, by=by).decisions]

    def do(self, op: ops.Operation, by: Principal = OPEN) -> Outcome:
        """One operation in a transaction of its own; raises its refusal."""
        (outcome,) = self.outcomes(op, by=by)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def add(self, path: str = "/a", by: Principal = OPEN, **facts: Any) -> int:
        """Create a task; its id."""
        created = self.do(enqueue(new_task(path, **facts)), by)
        assert isinstance(created, Created)
        return created.tasks[0][0]

    def claim(self, *paths: str, by: Principal = OPEN, **facts: Any) -> list[Grant]:
        """Ask for work."""
        wanted = {name: facts.pop(name) for name in ("recursive", "kinds", "tags", "host", "exclusive", "agent") if name in facts}
        claimed = self.do(claim(interest(*paths, by=by, **wanted), **facts), by)
        assert isinstance(claimed, Claimed)
        return claimed.grants

    def take(self, *paths: str, **facts: Any) -> Grant:
        """Ask for work, and get one task."""
        (grant,) = self.claim(*paths, **facts)
        return grant

    def running(self, path: str = "/a", *, by: Principal = OPEN, lease_ms: int = 10_000, **facts: Any) -> Grant:
        """Create a task and claim it."""
        task_id = self.add(path, by, **facts)
        grant = self.take(path, by=by, host=facts.get("host", ""), lease_ms=lease_ms)
        assert grant.task_id == task_id
        return grant

    def pass_(self, ms: int) -> None:
        """Let time pass, and do what a server does then."""
        self.time.pass_(ms)
        self.tick()

    def tick(self) -> Commit:
        """Expire and promote what is due."""
        return self.commit(ops.Expire(), ops.Promote(), by=SYSTEM)

    # Looking

    def fetch(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows from outside of any transaction."""
        assert self.store._pool is not None
        return self._runner.run(self.store._pool.fetch(sql, params))

    def head(self, task_id: int) -> Head:
        """A task as it is stored."""
        (row,) = self.fetch(f"SELECT {HEAD_COLUMNS} FROM tasks t WHERE id = ?", [task_id])  # noqa: S608 - names are ours
        return head_of(row)

    def heads(self) -> dict[int, Head]:
        """All tasks."""
        rows = self.fetch(f"SELECT {HEAD_COLUMNS} FROM tasks t ORDER BY id")  # noqa: S608 - names are ours
        return {head.id: head for head in map(head_of, rows)}

    def status(self, task_id: int) -> Status:
        return self.head(task_id).status

    def output(self, task_id: int, column: str) -> Any:
        rows = self.fetch(f"SELECT {column} FROM task_outputs WHERE task_id = ?", [task_id])  # noqa: S608 - names are ours
        return rows[0][0] if rows else None

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows that a refusal must leave alone."""
        tables = (
            "tasks", "task_inputs", "task_outputs", "dependencies", "task_keys", "attempts", "task_logs", "events",
            "directories", "task_counts", "task_rates", "task_durations", "task_usage", "tag_usage", "api_keys",
            "addresses", "accounts", "drains", "schedules", "fires", "workflows", "workflow_versions", "runs",
            "run_steps", "deliveries", "trigger_states", "consumers", "notification_rules", "notifications",
        )  # fmt: skip
        return {table: sorted(self.fetch(f"SELECT * FROM {table}"), key=repr) for table in tables}  # noqa: S608 - names are ours

    def counts(self) -> tuple[dict[Any, int], dict[Any, int]]:
        """The rollup of tasks, and a recount."""
        kept = self.fetch("SELECT path, host, status, priority, n FROM task_counts WHERE n > 0")
        real = self.fetch("SELECT path, host, status, priority, count(*) FROM tasks GROUP BY 1, 2, 3, 4")
        return {row[:4]: row[4] for row in kept}, {row[:4]: row[4] for row in real}


def template(directory: Path) -> Callable[[Path], Path]:
    """Makes directories with a migrated, empty database: a copy costs less than migrating."""
    Rig(directory).close()

    def copy(to: Path) -> Path:
        to.mkdir(parents=True, exist_ok=True)
        shutil.copy(directory / "queue.db", to / "queue.db")
        return to

    return copy
