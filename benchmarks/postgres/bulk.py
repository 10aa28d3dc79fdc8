"""A past and a queue of millions, written straight into all tables, as operations would have left them."""

from typing import Any, Final

import psycopg

from orchestrator.store.postgres.migrate import migrate
from orchestrator.store.rollups import bucket

_RAN_MS: Final = 4_000
_TASK: Final = """id, host, path, kind, priority, tags, exclusive, max_attempts, timeout_ms, has_parents, created_at, source,
    version, status, rank, ready_at, attempt, releases, lease_no, nonce, lease_mode, lease_ms, used, worker_id, delivery_no,
    ended_by, updated_at, started_at, finished_at"""
_NEW: Final = "'', '/bulk/' || n / 50 % {directories}, 'agent', 1, '[]', 0, 4, 3600000, 0"

# Finished ones ended within the last two days, in runs of 50 for the same directory; waiting ones came within the last hour.
_STEPS: Final = (
    (
        "finished tasks",
        """INSERT INTO tasks ({task}) SELECT n, {new}, at, 'api', 3, 'completed',
        at, at, 1, 0, 1, 'bulk', 0, 60000, 0, 'bulk-' || n % 16, 1, 'complete', at + 5000, at + 1000, at + 1000 + {ran}
        FROM (SELECT n, {now} - 2 * {day} + n * ({day} * 2 - 10000) / {finished} AS at
              FROM generate_series(1::bigint, {finished}) n) s""",
    ),
    (
        "waiting tasks",
        """INSERT INTO tasks ({task}) SELECT {finished} + n, {new}, at, 'api', 1,
        'waiting', at, at, 0, 0, 0, NULL, 0, 0, 0, NULL, 0, NULL, at, NULL, NULL
        FROM (SELECT n, {now} - 3600000 + n * 3000000 / {waiting} AS at FROM generate_series(1::bigint, {waiting}) n) s""",
    ),
    (
        "inputs",
        """INSERT INTO task_inputs (task_id, prompt, environment, resource_limits, metadata, depends_on, requires_approval)
        SELECT id, 'Make the tests pass.', '{}', '{}', '{}', '[]', 0 FROM tasks""",
    ),
    ("outputs", """INSERT INTO task_outputs (task_id, result) SELECT id, '{"ok":true}' FROM tasks WHERE status = 'completed'"""),
    (
        "attempts",
        """INSERT INTO attempts (task_id, lease_no, attempt, outcome, path, host, kind, worker_id, started_at, ended_at)
        SELECT id, 1, 1, 'completed', path, host, kind, worker_id, started_at, finished_at
        FROM tasks WHERE status = 'completed'""",
    ),
    (
        "events",
        """INSERT INTO events (at, type, task_id, path, host, status, data)
        SELECT e.* FROM tasks t CROSS JOIN LATERAL (VALUES
            (t.created_at, 'task.created', t.id, t.path, t.host, 'waiting', '{"source":"api"}'),
            (t.started_at, 'task.claimed', t.id, t.path, t.host, 'running',
             '{"attempt":1,"lease_no":1,"worker_id":"' || t.worker_id || '"}'),
            (t.finished_at, 'task.completed', t.id, t.path, t.host, 'completed',
             '{"attempt":1,"worker_id":"' || t.worker_id || '"}')
        ) e WHERE e.column1 IS NOT NULL""",
    ),
    (
        "counts",
        """INSERT INTO task_counts (path, host, status, priority, n)
        SELECT path, host, status, priority, count(*) FROM tasks GROUP BY 1, 2, 3, 4""",
    ),
    (
        "rates",
        """INSERT INTO task_rates (minute, path, created, completed, failed, cancelled)
        SELECT minute, path, sum(c), sum(d), 0, 0 FROM (
            SELECT created_at / 60000 AS minute, path, 1 AS c, 0 AS d FROM tasks
            UNION ALL SELECT finished_at / 60000, path, 0, 1 FROM tasks WHERE status = 'completed'
        ) s GROUP BY 1, 2""",
    ),
    (
        "durations",
        """INSERT INTO task_durations (hour, path, bucket, n)
        SELECT ended_at / 3600000, path, {bucket}, count(*) FROM attempts GROUP BY 1, 2""",
    ),
)


def fill(url: str, *, waiting: int, finished: int, directories: int) -> None:
    """Fill an empty database; `/bulk/0` and so on are the directories."""
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        known = {
            "task": _TASK,
            "new": _NEW,
            "day": 86_400_000,
            "ran": _RAN_MS,
            "bucket": bucket(_RAN_MS),
            "now": "(extract(epoch FROM now()) * 1000)::bigint",
            "waiting": waiting,
            "finished": finished,
            "directories": directories,
        }
        indexes = _indexes(connection)
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        for name, statement in _STEPS:
            # Not format(): there are the braces of JSON, too.
            for mark, value in known.items():
                statement = statement.replace(f"{{{mark}}}", str(value))  # noqa: PLW2901 - it is filled in bit by bit
            print(f"  {name}: {connection.execute(statement.encode()).rowcount:,}", flush=True)
        for _, definition in indexes:
            connection.execute(definition.encode())
        for table in ("tasks", "attempts", "events"):
            last = f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"  # noqa: S608 - ours
            connection.execute(last.encode())
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def _indexes(connection: "psycopg.Connection[Any]") -> list[tuple[str, str]]:
    """Those that no constraint needs: filled at the end, they cost a third."""
    return connection.execute(
        "SELECT i.indexname, i.indexdef FROM pg_indexes i WHERE i.schemaname = current_schema() "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)"
    ).fetchall()
