"""The rows of whole lives, written by plain SQL in this process: what a server can come close to."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from orchestrator.store.rollups import bucket
from orchestrator.store.sqlite.engine import sqlite3
from orchestrator.store.sqlite.migrate import migrate

PATH: Final = "/bench/batches"
PROMPT: Final = "Make the tests pass."
WORKER: Final = "bench"
RESULT: Final = '{"ok":true}'
LEASE_MS: Final = 60_000
TABLES: Final = ("tasks", "task_inputs", "task_outputs", "attempts", "events", "task_counts", "task_rates")
_VARY: Final = ("id", "task_id", "at", "rank", "nonce", "minute", "n", "created", "completed")
"""Columns that are other in each row; so are all that end in _at."""
_COUNT: Final = """INSERT INTO task_counts (path, host, status, priority, n) VALUES (?, '', ?, 1, ?)
ON CONFLICT (path, host, status, priority) DO UPDATE SET n = n + excluded.n"""
_LESS: Final = "UPDATE task_counts SET n = n - ? WHERE path = ? AND host = '' AND status = ? AND priority = 1"
_RATE: Final = """INSERT INTO task_rates (minute, path, created, completed, failed, cancelled) VALUES (?, ?, ?, ?, 0, 0)
ON CONFLICT (minute, path) DO UPDATE SET created = created + excluded.created, completed = completed + excluded.completed"""
_DURATION: Final = """INSERT INTO task_durations (hour, path, bucket, n) VALUES (?, ?, ?, ?)
ON CONFLICT (hour, path, bucket) DO UPDATE SET n = n + excluded.n"""
_EVENT: Final = (
    "INSERT INTO events (at, type, task_id, path, host, status, data, origin) VALUES (?, ?, ?, ?, '', ?, ?, '127.0.0.1')"
)
_INPUTS: Final = """INSERT INTO task_inputs
(task_id, prompt, environment, resource_limits, metadata, depends_on, requires_approval)
VALUES (?, ?, '{}', '{}', '{}', '[]', 0)"""
_TASK: Final = """INSERT INTO tasks (id, host, path, kind, priority, tags, exclusive, max_attempts, timeout_ms, has_parents,
created_at, source, version, status, rank, ready_at, attempt, releases, lease_no, lease_mode, lease_ms, used, delivery_no,
updated_at) VALUES (?1, '', ?2, 'agent', 1, '[]', 0, 4, 3600000, 0, ?3, 'api', 1, 'waiting', ?3, ?3, 0, 0, 0, 0, 0, 0, 0, ?3)"""


class Plain:
    """A database of our own tables, as durable as the server's; a transaction a step."""

    def __init__(self, file: Path) -> None:
        migrate(file)
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._last = 0

    def life(self, count: int) -> None:
        """Create, claim and complete as many tasks."""
        for step in (self._create, self._claim, self._complete):
            self._connection.execute("BEGIN IMMEDIATE")
            step(count, round(1000 * time.time()))
            self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()

    def _many(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(query, rows)

    def _create(self, count: int, now: int) -> None:
        ids = range(self._last + 1, self._last + count + 1)
        self._last += count
        self._many(_TASK, [(n, PATH, now) for n in ids])
        self._many(_INPUTS, [(n, PROMPT) for n in ids])
        self._many(_EVENT, [(now, "task.created", n, PATH, "waiting", '{"source":"api"}') for n in ids])
        self._many(_COUNT, [(PATH, "waiting", count)])
        self._many(_RATE, [(now // 60_000, PATH, count, 0)])

    def _claim(self, count: int, now: int) -> None:
        waiting = """SELECT id FROM tasks WHERE status = 'waiting' AND path = ? AND kind = 'agent' AND host = ''
        ORDER BY rank, id LIMIT ?"""
        ids = [n for (n,) in self._connection.execute(waiting, (PATH, count))]
        self._many(
            """UPDATE tasks SET version = 2, status = 'running', attempt = 1, lease_no = 1, nonce = ?1, lease_mode = 1,
            lease_host = '', lease_ms = ?2, lease_ends_at = ?3, lease_deadline = ?4, expire_at = ?5, worker_id = ?6,
            claimed_by = '', delivery_no = 1, updated_at = ?7, started_at = ?7 WHERE id = ?8 AND version = 1""",
            [(f"{n:016x}", LEASE_MS, now + LEASE_MS, now + 3_600_000, now + LEASE_MS + 5_000, WORKER, now, n) for n in ids],
        )
        data = f'{{"attempt":1,"lease_no":1,"worker_id":"{WORKER}"}}'
        self._many(_EVENT, [(now, "task.claimed", n, PATH, "running", data) for n in ids])
        self._many(_LESS, [(count, PATH, "waiting")])
        self._many(_COUNT, [(PATH, "running", count)])

    def _complete(self, count: int, now: int) -> None:
        ids = range(self._last - count + 1, self._last + 1)
        self._many(
            """UPDATE tasks SET version = 3, status = 'completed', lease_mode = 0, lease_host = NULL, lease_ends_at = NULL,
            lease_deadline = NULL, expire_at = NULL, ended_by = 'complete', updated_at = ?1, finished_at = ?1
            WHERE id = ?2 AND version = 2""",
            [(now, n) for n in ids],
        )
        self._many("INSERT INTO task_outputs (task_id, result) VALUES (?, ?)", [(n, RESULT) for n in ids])
        self._many(
            """INSERT INTO attempts (task_id, lease_no, attempt, outcome, path, host, kind, worker_id, claimed_by, started_at,
            ended_at) VALUES (?, 1, 1, 'completed', ?, '', 'agent', ?, '', ?, ?)""",
            [(n, PATH, WORKER, now, now) for n in ids],
        )
        data = f'{{"attempt":1,"worker_id":"{WORKER}"}}'
        self._many(_EVENT, [(now, "task.completed", n, PATH, "completed", data) for n in ids])
        self._many(_LESS, [(count, PATH, "running")])
        self._many(_COUNT, [(PATH, "completed", count)])
        self._many(_RATE, [(now // 60_000, PATH, 0, count)])
        self._many(_DURATION, [(now // 3_600_000, PATH, bucket(1), count)])


def written(file: Path) -> dict[str, set[tuple[Any, ...]]]:
    """What there is in each table, but for times and numbers."""
    connection = sqlite3.connect(file)
    found = {}
    for table in TABLES:
        names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        kept = [name for name in names if name not in _VARY and not name.endswith("_at")]
        found[table] = set(connection.execute(f"SELECT {', '.join(kept)} FROM {table}"))  # noqa: S608 - ours
    connection.close()
    return found
