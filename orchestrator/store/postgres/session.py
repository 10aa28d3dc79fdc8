"""A PostgreSQL connection within a transaction: everything is sent at once, and waited for when an answer is needed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

from psycopg import Connection, Pipeline, RawCursor

from orchestrator.domain.words import GAP
from orchestrator.store.postgres.engine import native
from orchestrator.store.postgres.sets import SetStatement, set_statement
from orchestrator.store.rows import Row
from orchestrator.store.session import StaleRowError

_MOST_IDS: Final = 256
"""Taken at once; those that are not used are never used."""


class Statements:
    """Set statements by the statement for one row; `types` by table.column, as the database has them."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self.of: Callable[[str], SetStatement] = lru_cache(maxsize=None)(lambda query: set_statement(query, types))


class PostgresSession:
    """Used within `pipeline`, which is the connection's."""

    pipeline: Pipeline

    def __init__(self, connection: "Connection[Any]", statements: Statements, new_ids: tuple[str, str]) -> None:
        self._connection = connection
        self._statements = statements
        self._new_ids, self._new_record_ids = new_ids
        self._ids: list[int] = []
        self._more = 1
        self._record_ids: dict[str, list[int]] = {}
        self._promised: list[tuple[RawCursor[Any], int]] = []

    def ask(self, query: str, *params: Any) -> Callable[[], list[Row]]:
        """Send a query; its rows, for later."""
        cursor = cast("RawCursor[Any]", self._connection.execute(native(query), params))

        def rows() -> list[Row]:
            if cursor.pgresult is None:
                # Only after a Sync does the server see that a transaction idles; psycopg by itself sends a Flush.
                self.pipeline.sync()
            return cursor.fetchall()

        return rows

    def fetch(self, query: str, *params: Any) -> list[Row]:
        """The rows of a query, and with them the results of everything before."""
        return self.ask(query, *params)()

    def many(self, query: str, rows: Sequence[Sequence[Any]], *, exactly: bool = False) -> None:
        """Send a statement for all rows."""
        if not rows:
            return
        cursor = self._send(query, rows)
        if exactly:
            self._promised.append((cursor, len(rows)))

    def _send(self, query: str, rows: Sequence[Sequence[Any]]) -> "RawCursor[Any]":
        statement = self._statements.of(query)
        return cast("RawCursor[Any]", self._connection.execute(statement.text, statement.params(rows)))

    def listed(self, values: Iterable[Any]) -> list[Any]:
        """A list is an array."""
        return list(values)

    def spaced(self, words: str) -> str:
        """Each word with its places, as a tsvector is written."""
        found: dict[str, list[str]] = {}
        for place, word in enumerate(words.split(" "), 1):
            if word != GAP:
                found.setdefault(word, []).append(str(place))
        return " ".join(f"'{word}':{','.join(places)}" for word, places in found.items())

    def reserve(self, count: int) -> Callable[[], None]:
        """Ask for ids of so many tasks; they are there once what is returned was called."""
        rows = self.ask(self._new_ids, count)
        return lambda: self._ids.extend(number for (number,) in reversed(rows()))

    def task_id(self) -> int:
        """The next id of a task."""
        if not self._ids:
            # Who makes tasks that nobody announced may go on to do so: each way to the server brings twice as many.
            self.reserve(self._more)()
            self._more = min(2 * self._more, _MOST_IDS)
        return self._ids.pop()

    def record_id(self, table: str) -> int:
        """The next id of a row of a table."""
        ids = self._record_ids.get(table, [])
        if not ids:
            count = 1 if table not in self._record_ids else _MOST_IDS
            ids = [number for (number,) in reversed(self.fetch(self._new_record_ids, table, count))]
            self._record_ids[table] = ids
        return ids.pop()

    def add_events(self, query: str, rows: Sequence[Sequence[Any]]) -> Callable[[], list[int]]:
        """Add rows to the feed; the database numbers them."""
        if not rows:
            return list
        added = self._send(query, rows).fetchall
        return lambda: [number for (number,) in added()]

    def settle(self) -> None:
        """Raise StaleRowError unless all statements that have been answered did exactly what they should."""
        promised, self._promised = self._promised, []
        if any(cursor.rowcount != rows for cursor, rows in promised):
            raise StaleRowError
