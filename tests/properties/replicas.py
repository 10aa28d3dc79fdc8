"""Several stores on one database, and their transactions interleaved step by step."""

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Changed, Claimed, Created, Decision
from orchestrator.domain.principal import OPEN
from orchestrator.store.postgres.standing import Standing
from orchestrator.store.postgres.store import PostgresStore
from orchestrator.store.protocol import Commit
from orchestrator.store.rows import HEAD_FIELDS
from tests import postgres
from tests.properties import invariants
from tests.rig import START, Rig, Time
from worker_client.errors import LeaseLost, OrchestratorError

TABLES: Final = (
    "tasks", "task_inputs", "task_outputs", "dependencies", "task_keys", "attempts", "task_logs", "events", "directories",
    "leases", "task_counts", "task_rates", "task_durations", "task_usage", "tag_usage", "accounts", "drains", "askers",
    "api_keys", "addresses",
)  # fmt: skip
LONG: Final = bool(os.environ.get("APP_TEST_LONG"))
"""Whether to try all that can be tried, which takes minutes."""
LEASED_ROWS: Final = """
    SELECT t.id, t.path, t.lease_mode, l.task_id IS NOT NULL,
        l.span = text_range(rtrim(t.path, '/') || '/', rtrim(t.path, '/') || '0'), upper_inf(l.modes), upper_inf(l.hosts)
    FROM (SELECT * FROM tasks WHERE lease_mode > 0) t FULL JOIN leases l ON l.task_id = t.id
"""


def batch_of(*batch: ops.Operation | ops.Submission) -> list[ops.Submission]:
    """Operations of whoever may do anything."""
    return [one if isinstance(one, ops.Submission) else ops.Submission(one, OPEN) for one in batch]


def store_of(rig: Rig) -> PostgresStore:
    """The store of a rig that is on PostgreSQL."""
    assert isinstance(rig.store, PostgresStore)
    return rig.store


def emptied(connection: "psycopg.Connection[Any]", alive_at: int) -> None:
    """As after the migration. To delete a few rows is faster than TRUNCATE, which makes files."""
    deleted = sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in TABLES)
    numbered = sql.SQL("; ").join(
        sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), 1, false)").format(table)
        for table in ("tasks", "events", "attempts")
    )
    alive = sql.SQL("UPDATE meta SET value = {} WHERE key = 'alive_at'").format(str(alive_at))
    connection.execute(sql.SQL("; ").join([deleted, numbered, alive]))


class Replicas:
    """Stores as different servers have them, on one database, with one time."""

    def __init__(self, directory: Path, count: int = 2) -> None:
        self.time = Time()
        url = postgres.database(directory)
        nonces = itertools.count(1)
        self.looker = psycopg.connect(url, autocommit=True)
        # A test that provokes a deadlock need not wait a second for somebody to notice.
        name = sql.Identifier(self.looker.info.dbname)
        self.looker.execute(sql.SQL("ALTER DATABASE {} SET deadlock_timeout = '20ms'").format(name))
        self.rigs = [Rig(directory, "postgres", time=self.time, nonce=lambda: f"{next(nonces):016x}") for _ in range(count)]
        self.threads = ThreadPoolExecutor(count, thread_name_prefix="replica")

    def close(self) -> None:
        self.threads.shutdown()
        for rig in self.rigs:
            rig.close()
        self.looker.close()

    def empty(self) -> None:
        """Begin again."""
        self.time.at = START
        for rig in self.rigs:
            store = store_of(rig)
            assert store._clock is not None
            store._clock._last = 0
            vars(store._standing).update(vars(Standing()))
            rig.events.clear()
        emptied(self.looker, START)

    def start(self, number: int, batch: Sequence[ops.Submission]) -> "Future[Commit]":
        """Commit a batch on a replica, in a thread of its own."""
        rig = self.rigs[number]
        return self.threads.submit(store_of(rig)._commit, batch, rig.rules)

    def together(self, *batches: Sequence[ops.Submission]) -> list[Commit]:
        """Commit a batch on each replica at the same instant."""
        barrier = threading.Barrier(len(batches))

        def run(rig: Rig, batch: Sequence[ops.Submission]) -> Commit:
            barrier.wait(10)
            return store_of(rig)._commit(batch, rig.rules)

        running = [self.threads.submit(run, rig, batch) for rig, batch in zip(self.rigs, batches, strict=False)]
        return [one.result(60) for one in running]

    def feed(self, after: int = 0) -> list[int]:
        """Ids of the events as a reader gets them that has those up to `after`."""
        return [number for (number,) in self.looker.execute("SELECT id FROM events WHERE id > %s ORDER BY id", [after])]

    def deadlocks(self) -> int:
        """How many the database has broken up."""
        self.looker.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        row = self.looker.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
        assert row is not None
        return int(row[0])

    def check(self) -> None:
        """What must hold whoever committed what."""
        rig = self.rigs[0]
        heads = rig.heads()
        invariants.check_states(heads, rig.fetch("SELECT child_id, parent_id, satisfied FROM dependencies"))
        invariants.check_leases(heads)
        invariants.check_budgets(heads)
        kept, real = rig.counts()
        assert kept == real, "the rollups are not a recount"
        for task_id, path, mode, stored, right, exclusive, everywhere in rig.fetch(LEASED_ROWS):
            assert task_id is not None, "a lease outlived its task's"
            assert stored, f"{task_id} in {path} is leased, and no row says so"
            assert right, f"the row of {task_id} holds another directory than {path}"
            assert exclusive == (mode == 2)
            assert everywhere == (not heads[task_id].lease_host)
        attempts = rig.fetch("SELECT task_id, lease_no FROM attempts")
        assert len(attempts) == len(set(attempts)), "a lease ended twice"
        # What is asked of a worker is told without a lock on its tasks, and may come after the end of one.
        told = "SELECT DISTINCT ON (task_id) task_id, status FROM events WHERE type <> 'task.drain_requested'"
        last = dict(rig.fetch(f"{told} ORDER BY task_id, id DESC"))
        for task_id, head in heads.items():
            assert last.get(task_id, str(head.status)) == str(head.status), f"the feed does not know how {task_id} ended"

    def state(self) -> dict[str, Any]:
        """All that was stored, without what differs between runs that are the same: nonces, gaps between ids."""
        fetch = self.rigs[0].fetch
        names = [name for name in HEAD_FIELDS if name not in {"nonce", "id"}]
        heads = fetch(f"SELECT id, {', '.join(names)} FROM tasks ORDER BY id")  # noqa: S608 - names are ours
        place = {row[0]: at for at, row in enumerate(heads)}
        feed = fetch("SELECT task_id, type, status, data FROM events ORDER BY id")
        return {
            "tasks": [dict(zip(names, row[1:], strict=True)) for row in heads],
            # Which of two that do not meet came first is nobody's business.
            "events": sorted((place.get(row[0], row[0]), at, *row[1:]) for at, row in _numbered(feed)),
            "edges": fetch("SELECT child_id, parent_id, satisfied FROM dependencies ORDER BY 1, 2"),
            "attempts": fetch("SELECT task_id, lease_no, outcome, ended_at FROM attempts ORDER BY 1, 2"),
            "logs": fetch("SELECT task_id, number, lease_no, line FROM task_logs ORDER BY 1, 2"),
            "keys": sorted((key, place.get(task_id)) for key, task_id in fetch("SELECT key, task_id FROM task_keys")),
            "leases": fetch("SELECT task_id, span::text, modes::text FROM leases ORDER BY 1"),
            "directories": fetch("SELECT path, host, paused, max_running FROM directories ORDER BY 1, 2"),
            "doors": fetch("SELECT id, name, rate, disabled, revoked_at, parent FROM api_keys ORDER BY id"),
            "addresses": fetch("SELECT list, network FROM addresses"),
            "outputs": fetch("SELECT task_id, result, error, answer FROM task_outputs ORDER BY 1"),
        }


def _numbered(feed: list[tuple[Any, ...]]) -> list[tuple[int, tuple[Any, ...]]]:
    """Events with their place among those of the same task."""
    counts: dict[int, int] = {}
    numbered = []
    for row in feed:
        counts[row[0]] = counts.get(row[0], 0) + 1
        numbered.append((counts[row[0]], row))
    return numbered


class Pause:
    """Holds a replica's transaction before its n-th statement; `answered`: until then the database has done everything before."""

    def __init__(self, rig: Rig, at: int, *, answered: bool = True) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.passed = 0
        self._at = at
        self._answered = answered
        self._connection = store_of(rig)._connected()
        self._execute = self._connection.execute
        self._connection.execute = self._step  # type: ignore[method-assign]

    def _step(self, query: Any, params: Any = None, **options: Any) -> Any:
        if self.passed == self._at:
            self.passed += 1
            pipeline = self._connection._pipeline
            if pipeline is not None and self._answered:
                pipeline.sync()
            self.reached.set()
            assert self.go_on.wait(30)
        else:
            self.passed += 1
        return self._execute(query, params, **options)

    def over(self, _: "Future[Commit]") -> None:
        """The transaction ended before it got so far."""
        self.reached.set()

    def remove(self) -> None:
        del self._connection.execute


class Tries:
    """Counts how often a replica begins a transaction."""

    def __init__(self, rig: Rig) -> None:
        self.begun = 0
        self._connection = store_of(rig)._connected()
        self.pid: int = self._connection.info.backend_pid
        self._execute = self._connection.execute
        self._connection.execute = self._count  # type: ignore[method-assign]

    def _count(self, query: Any, params: Any = None, **options: Any) -> Any:
        self.begun += query == "BEGIN"
        return self._execute(query, params, **options)

    def remove(self) -> None:
        del self._connection.execute


Make = Callable[[Rig], tuple[list[ops.Submission], list[ops.Submission]]]


def interleaved(replicas: Replicas, make: Make, *, swapped: bool = False, every: int = 1) -> list[tuple[Any, dict[str, Any]]]:
    """One batch stops before each of its statements in turn, while the other runs as far as it comes; what came of each.

    `every`: only before each second, third ... of them.
    """
    found: list[tuple[Any, dict[str, Any]]] = []
    for at in range(2 + swapped if every > 1 else 0, 1000, every):
        replicas.empty()
        first, second = make(replicas.rigs[0])[:: -1 if swapped else 1]
        pause, tries = Pause(replicas.rigs[0], at), Tries(replicas.rigs[1])
        try:
            one = replicas.start(0, first)
            one.add_done_callback(pause.over)
            assert pause.reached.wait(30)
            if one.done() and pause.passed <= at:
                one.result()
                return found
            other = replicas.start(1, second)
            _until_stuck(replicas, other, tries)
            seen = replicas.feed()
            pause.go_on.set()
            commits = [one.result(30), other.result(30)]
            seen += replicas.feed(max(seen, default=0))
            assert set(replicas.feed()) <= set(seen), "a reader of the feed missed an event"
            _afterwards(replicas, first, second)
        finally:
            pause.go_on.set()
            pause.remove()
            tries.remove()
        replicas.check()
        answers = [[told(decision) for decision in commit.decisions] for commit in commits]
        found.append((answers[:: -1 if swapped else 1], replicas.state()))
    raise AssertionError("a transaction ends")


def _until_stuck(replicas: Replicas, running: "Future[Commit]", tries: Tries) -> None:
    """Until a commit is done, waits for a lock, or has begun again."""
    while not running.done() and tries.begun < 2:
        row = replicas.looker.execute("SELECT cardinality(pg_blocking_pids(%s))", [tries.pid]).fetchone()
        assert row is not None
        if row[0]:
            return


def _afterwards(replicas: Replicas, *batches: Sequence[ops.Submission]) -> None:
    """What time does leaves out what is locked, and does it the next time."""
    of_time = [one for batch in batches for one in batch if isinstance(one.op, ops.Expire | ops.Promote | ops.Prune)]
    if of_time:
        replicas.rigs[0].commit(*of_time)


def serial(replicas: Replicas, make: Make) -> list[tuple[Any, dict[str, Any]]]:
    """What comes of two batches one after the other, in both orders."""
    found = []
    for order in ((0, 1), (1, 0)):
        replicas.empty()
        batches = make(replicas.rigs[0])
        answers: dict[int, Any] = {}
        for number in order:
            answers[number] = [told(decision) for decision in replicas.start(number, batches[number]).result(30).decisions]
        _afterwards(replicas, *batches)
        replicas.check()
        found.append(([answers[0], answers[1]], replicas.state()))
    return found


def told(decision: Decision) -> Any:
    """The answer, without what differs between runs that are the same."""
    match decision.outcome:
        case LeaseLost() as lost:
            return "LeaseLost", lost.details.get("reason")
        case OrchestratorError() as refusal:
            return type(refusal).__name__
        case Claimed(grants=grants):
            return "claimed", [(grant.task_id, grant.lease.split(".")[1], grant.delivery_no) for grant in grants]
        case Created(tasks=tasks):
            return "created", [fresh for _, fresh in tasks]
        case Changed(view=view) if view is not None:
            return "changed", str(view.head.status), view.head.version
        case other:
            return type(other).__name__
