"""Databases of earlier releases in a folder of a test, small or grown to as many tasks as one likes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psycopg

from orchestrator.domain.paths import span
from orchestrator.store.postgres.engine import native
from orchestrator.store.sql import queries
from tests import postgres
from tests.upgrading.dumps import connected, fill_postgres, write_sqlite

_TASK: Final = {"task_id": "task_id + n.k * {tasks}", "path": "{path}"}
_COPIES: Final[Mapping[str, Mapping[str, str]]] = {
    "tasks": {"id": "id + n.k * {tasks}", "path": "{path}", "poll_key": "poll_key || '/' || n.k"}
    | dict.fromkeys(("schedule_id", "workflow_id", "run_id", "step_id"), "NULL"),
    "task_inputs": {**_TASK, "depends_on": "{depends_on}", "key": "key || '/' || n.k"},
    "task_outputs": _TASK,
    "dependencies": {name: f"{name} + n.k * {{tasks}}" for name in ("child_id", "parent_id")},
    "task_keys": {**_TASK, "key": "key || '/' || n.k"},
    "attempts": {**_TASK, "id": "id + n.k * {attempts}"},
    "task_logs": _TASK,
    "events": {**_TASK, "id": "id + n.k * {events}", "run_id": "NULL", "schedule_id": "NULL"},
    "directories": {"path": "{path}"},
    "task_counts": {"path": "{path}"},
    "task_rates": {"path": "{path}"},
    "task_durations": {"path": "{path}"},
    "task_usage": {"path": "{path}"},
    "tag_usage": {"path": "{path}"},
}
"""What of a row is different in its copies, which lie in a tree of directories of their own each."""
_PATH: Final = "CASE WHEN path LIKE '/%' THEN '/c' || n.k || path ELSE substr(path, 1, 3) || 'c' || n.k || substr(path, 3) END"
_DEPENDS_ON: Final = {
    "sqlite": "(SELECT json_group_array(value + n.k * {tasks}) FROM json_each(depends_on))",
    "postgres": (
        "(SELECT coalesce(json_agg(value::bigint + n.k * {tasks}), '[]')::text FROM json_array_elements_text(depends_on::json))"
    ),
}
_COLUMNS: Final = {
    "sqlite": "SELECT name FROM pragma_table_info('{}')",
    "postgres": (
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{}' "
        "ORDER BY ordinal_position"
    ),
}
_COPY: Final = (
    "WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {copies}) "
    "INSERT INTO {table} ({names}) SELECT {values} FROM {table}, n {where}"
)
_GO_ON: Final = "SELECT setval(pg_get_serial_sequence('{0}', 'id'), (SELECT max(id) FROM {0}))"
_LAST: Final = "SELECT max(id) FROM {}"
_NUMBERED: Final = ("tasks", "attempts", "events")


def load(release: str, store: str, directory: Path) -> str:
    """The address of the database that a release left, where a Rig looks for it in a directory."""
    if store == "sqlite":
        directory.mkdir(parents=True, exist_ok=True)
        return write_sqlite(release, directory / "queue.db")
    url = postgres.empty(directory)
    fill_postgres(release, url)
    return url


def columns(connection: Any, store: str, table: str) -> list[str]:
    """The columns of a table; none when there is none."""
    return [name for (name,) in connection.execute(_COLUMNS[store].format(table))]


def grow(url: str, tasks: int) -> None:
    """Copy the tasks of a database, and all that belongs to them, until there are so many."""
    store = "sqlite" if url.startswith("sqlite") else "postgres"
    with connected(url) as connection:
        last = {table: _one(connection, _LAST.format(table)) for table in _NUMBERED}
        copies = -(-tasks // _one(connection, "SELECT count(*) FROM tasks")) - 1
        words = {**last, "path": _PATH, "depends_on": _DEPENDS_ON[store].format(**last)}
        connection.execute("BEGIN")
        for table, changed in _COPIES.items():
            names = columns(connection, store, table)
            if names:
                values = ", ".join(changed.get(name, name).format(**words) for name in names)
                where = "WHERE task_id > 0" if table == "events" else ""
                facts = {"copies": copies, "table": table, "names": ", ".join(names), "values": values, "where": where}
                connection.execute(_COPY.format(**facts))
        if store == "postgres":
            _lease(connection, last["tasks"])
        if columns(connection, store, "task_index"):
            connection.execute("UPDATE task_index SET unread = (SELECT max(id) FROM tasks)")
        connection.execute("COMMIT")


def _lease(connection: "psycopg.Connection[Any]", last: int) -> None:
    """The leases of copies, which stand in a table of their own; ids go on after them."""
    held = connection.execute(
        "SELECT id, coalesce(lease_host, ''), path, lease_mode FROM tasks "
        "WHERE status = 'running' AND lease_mode > 0 AND id > %s",
        [last],
    ).fetchall()
    names = ("task_id", "host", "mode", "low", "high")
    leases = [dict(zip(names, (task, host, mode, *span(path)), strict=True)) for task, host, path, mode in held]
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(native(queries("common", "postgres")["add_lease"]), [json.dumps(leases)])
    for table in _NUMBERED:
        connection.execute(_GO_ON.format(table).encode())


def _one(connection: Any, query: str) -> int:
    ((found,),) = connection.execute(query).fetchall()
    return int(found)
