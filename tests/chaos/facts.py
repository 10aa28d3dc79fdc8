"""What the database holds, read beside the servers."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg

from orchestrator.store.sqlite.engine import configure, sqlite3
from tests.chaos.history import Violation
from tests.chaos.story import Facts, Step

_COLUMNS: Final = ("id", "status", "lease_no", "attempt", "version", "hold", "due_at", "reason", "worker_id", "path")
_ROWS: Final = f"SELECT {', '.join(_COLUMNS)} FROM tasks"  # noqa: S608 - no input
_EVENTS: Final = "SELECT task_id, id, type, status, data FROM events"
_ATTEMPTS: Final = "SELECT task_id, lease_no, attempt, outcome FROM attempts"
_PAGE: Final = 5_000
_OPEN_EDGES: Final = """
    SELECT d.child_id, d.parent_id FROM dependencies d JOIN tasks p ON p.id = d.parent_id
    WHERE d.satisfied = 0 AND p.status = 'completed'
"""
_LEASED_ROWS: Final = """
    SELECT t.id, l.task_id FROM (SELECT id FROM tasks WHERE lease_mode > 0) t FULL JOIN leases l ON l.task_id = t.id
    WHERE t.id IS NULL OR l.task_id IS NULL
"""


class AwayError(Exception):
    """The database cannot be read at the moment."""


class Database(Protocol):
    """Where facts are read."""

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Rows. Raises AwayError."""


class SQLite:
    """One connection for the whole time: the last to be closed would write the log into the file."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(str(path), check_same_thread=False)
        configure(self._connection, busy_ms=10_000, writes=False)

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(query).fetchall())

    def close(self) -> None:
        self._connection.close()


class PostgreSQL:
    """A connection for each question: the server goes and comes."""

    def __init__(self, url: str) -> None:
        self._url = url

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        try:
            with psycopg.connect(self._url, autocommit=True, connect_timeout=3) as connection:
                return connection.execute(query.encode()).fetchall()
        except psycopg.Error as error:
            raise AwayError(repr(error)) from None

    def close(self) -> None:
        """Nothing is open."""


class Reading:
    """Follows the table of events some seconds behind, so that it passes none that is committed late."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._steps: defaultdict[int, list[Step]] = defaultdict(list)
        self._from = self._upto = 0

    def follow(self) -> None:
        """Read on, up to the last event that was there the time before. Raises AwayError."""
        ((last,),) = self._database.fetch("SELECT coalesce(max(id), 0) FROM events")
        rows = self._database.fetch(f"{_EVENTS} WHERE id > {self._from} AND id <= {self._upto} ORDER BY id")
        self._from, self._upto = self._upto, last
        for task_id, *row in rows:
            self._steps[task_id].append(_step(row))

    def facts(self, ids: Iterable[int]) -> list[Facts]:
        """Those of tasks whose events have all been read by now. Raises AwayError."""
        among = f"({', '.join(map(str, ids))})"
        rows = {row[0]: row for row in self._database.fetch(f"{_ROWS} WHERE id IN {among}")}
        attempts = _grouped(self._database.fetch(f"{_ATTEMPTS} WHERE task_id IN {among}"))
        found = []
        for task_id, row in rows.items():
            steps = self._steps[task_id]
            if steps and steps[-1].status == row[1]:
                found.append(_facts(task_id, row, steps, attempts[task_id]))
        return found

    def forget(self, task_id: int) -> None:
        """It was looked at."""
        self._steps.pop(task_id, None)


def everything(database: Database) -> Iterator[Facts]:
    """The facts of all tasks, some thousands at a time."""
    ((last,),) = database.fetch("SELECT coalesce(max(id), 0) FROM tasks")
    for first in range(1, last + 1, _PAGE):
        among = f"BETWEEN {first} AND {first + _PAGE - 1}"
        attempts = _grouped(database.fetch(f"{_ATTEMPTS} WHERE task_id {among}"))
        steps: defaultdict[int, list[Step]] = defaultdict(list)
        for task_id, *event in database.fetch(f"{_EVENTS} WHERE task_id {among} ORDER BY id"):
            steps[task_id].append(_step(event))
        for row in database.fetch(f"{_ROWS} WHERE id {among} ORDER BY id"):
            yield _facts(row[0], row, steps[row[0]], attempts[row[0]])


def whole(database: Database) -> Iterator[Violation]:
    """What can be seen of a database alone, when nothing runs any more."""
    for key, count in database.fetch(
        "SELECT key, count(*) FROM task_inputs WHERE key IS NOT NULL GROUP BY key HAVING count(*) > 1"
    ):
        yield Violation("key", f"{count} tasks have key {key}")
    for title, count in database.fetch("SELECT title, count(*) FROM tasks WHERE title LIKE 'batch%' GROUP BY title"):
        if count != int(title.rpartition("/")[2]):
            yield Violation("batch", f"of {title} there are {count} tasks")
    counted = {status: int(n) for status, n in database.fetch("SELECT status, sum(n) FROM task_counts GROUP BY status") if n}
    there = dict(database.fetch("SELECT status, count(*) FROM tasks GROUP BY status"))
    if counted != there:
        yield Violation("counts", f"there are {there}, but the counters say {counted}")
    if edges := database.fetch(_OPEN_EDGES):
        yield Violation("edges", "dependencies on completed tasks are open", tuple(edges))
    if isinstance(database, PostgreSQL):
        if odd := database.fetch(_LEASED_ROWS):
            yield Violation("leases", "tasks and the table of leases tell different things", tuple(odd))
    elif (said := database.fetch("PRAGMA integrity_check")) != [("ok",)]:
        yield Violation("file", f"the file is damaged: {said[:5]}")


def event_ids(database: Database) -> list[int]:
    """Of all events, in order."""
    return [number for (number,) in database.fetch("SELECT id FROM events ORDER BY id")]


def _step(row: Iterable[Any]) -> Step:
    number, kind, status, data = row
    return Step(number, kind.removeprefix("task."), status or "", json.loads(data))


def _grouped(rows: Iterable[tuple[Any, ...]]) -> defaultdict[int, list[tuple[int, int, str]]]:
    found: defaultdict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for task_id, lease_no, attempt, outcome in rows:
        found[task_id].append((lease_no, attempt, outcome))
    return found


def _facts(task_id: int, row: tuple[Any, ...], steps: list[Step], attempts: list[tuple[int, int, str]]) -> Facts:
    return Facts(task_id, dict(zip(_COLUMNS, row, strict=True)), list(steps), attempts)
