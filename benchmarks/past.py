"""A past and a queue of millions, written straight into all tables, as operations would have left them; for every database."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.store.rollups import bucket

_RAN_MS: Final = 4_000
_TASK: Final = """id, host, path, kind, priority, tags, exclusive, max_attempts, timeout_ms, has_parents, created_at, source,
    version, status, rank, ready_at, attempt, releases, lease_no, nonce, lease_mode, lease_ms, used, worker_id, delivery_no,
    ended_by, updated_at, started_at, finished_at"""
_NEW: Final = "'', '/bulk/' || (n / 50 % {directories}), 'agent', 1, '[]', 0, 4, 3600000, 0"

# Finished ones ended within the last two days, in runs of 50 for the same directory; waiting ones came within the last hour.
_STEPS: Final = (
    (
        "finished tasks",
        """INSERT INTO tasks ({task}) SELECT n, {new}, at, 'api', 3, 'completed',
        at, at, 1, 0, 1, 'bulk', 0, 60000, 0, 'bulk-' || (n % 16), 1, 'complete', at + 5000, at + 1000, at + 1000 + {ran}
        FROM (SELECT n, {now} - 2 * {day} + n * ({day} * 2 - 10000) / {finished} AS at FROM {numbers of finished}) s""",
    ),
    (
        "waiting tasks",
        """INSERT INTO tasks ({task}) SELECT {finished} + n, {new}, at, 'api', 1,
        'waiting', at, at, 0, 0, 0, NULL, 0, 0, 0, NULL, 0, NULL, at, NULL, NULL
        FROM (SELECT n, {now} - 3600000 + n * 3000000 / {waiting} AS at FROM {numbers of waiting}) s""",
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
        SELECT CASE step WHEN 1 THEN created_at WHEN 2 THEN started_at ELSE finished_at END,
            CASE step WHEN 1 THEN 'task.created' WHEN 2 THEN 'task.claimed' ELSE 'task.completed' END, id, path, host,
            CASE step WHEN 1 THEN 'waiting' WHEN 2 THEN 'running' ELSE 'completed' END,
            CASE step WHEN 1 THEN '{"source":"api"}' WHEN 2 THEN '{"attempt":1,"lease_no":1,"worker_id":"' || worker_id || '"}'
                ELSE '{"attempt":1,"worker_id":"' || worker_id || '"}' END
        FROM tasks CROSS JOIN (SELECT 1 AS step UNION ALL SELECT 2 UNION ALL SELECT 3) steps
        WHERE step = 1 OR status = 'completed'""",
    ),
    ("read by the index of words", "UPDATE task_index SET last_event = (SELECT max(id) FROM events)"),
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


def statements(*, now: str, numbers: str, waiting: int, finished: int, directories: int) -> Iterator[tuple[str, str]]:
    """What to run in an empty database, by name; `/bulk/0` and so on are the directories.

    `now`: the time in ms, in the words of the database; `numbers`: rows with an n from 1 to {most}.
    """
    known: Mapping[str, Any] = {
        "task": _TASK,
        "new": _NEW,
        "numbers of finished": numbers.replace("{most}", str(finished)),
        "numbers of waiting": numbers.replace("{most}", str(waiting)),
        "day": 86_400_000,
        "ran": _RAN_MS,
        "bucket": bucket(_RAN_MS),
        "now": now,
        "waiting": waiting,
        "finished": finished,
        "directories": directories,
    }
    for name, statement in _STEPS:
        # Not format(): there are the braces of JSON, too.
        for mark, value in known.items():
            statement = statement.replace(f"{{{mark}}}", str(value))  # noqa: PLW2901 - it is filled in bit by bit
        yield name, statement
