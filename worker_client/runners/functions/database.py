"""Database: statements to the one database that the worker's settings name."""

import os
import sqlite3
import stat
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from worker_client.runners.base import RunContext
from worker_client.runners.functions.below import Below
from worker_client.runners.functions.refusing import Refused, invalid, not_set_up
from worker_client.runners.functions.settings import DatabaseSettings

MOST_ROWS: Final = 1000
MOST_CELL: Final = 100_000
_LONGEST: Final = 10_000_000
_STEPS: Final = 10_000
_WAIT_SECONDS: Final = 10.0
_READING: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_WRITING: Final = _READING | {
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_DELETE,
    sqlite3.SQLITE_TRANSACTION,
}
_FORBIDDEN: Final = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})
"""Functions that reach beyond the database, where a build of SQLite has them."""
_PLAIN: Final = (str, int, float, bool, type(None))


class Database:
    """`below`: where a file of SQLite has to be."""

    def __init__(self, settings: DatabaseSettings | None, below: Below) -> None:
        self._settings = settings
        self._below = below

    def database(self, action: str, statement: str, *, context: RunContext) -> dict[str, Any]:
        """`query` answers with rows, a thousand at the most; `execute` changes data, where the settings allow it."""
        settings = self._settings
        if settings is None:
            raise not_set_up("Database", 'url = "sqlite:////srv/app.db" or "postgresql://user@host/name"')
        named = str(action).strip().lower()
        if named not in {"query", "execute"}:
            raise invalid(f"{named[:40]!r} is nothing that can be done with a database: use query or execute")
        write = named == "execute"
        if write and not settings.write:
            raise Refused(
                "NotAllowed", "Database may only read here: execute needs `write = true` in [functions.database] of worker.toml"
            )
        run = self._sqlite if settings.url.startswith("sqlite:") else self._postgres
        return run(settings.url, str(statement), context, write=write)

    def _sqlite(self, url: str, statement: str, context: RunContext, *, write: bool) -> dict[str, Any]:
        path = self._below.located("/" + url.removeprefix("sqlite://").lstrip("/"))
        self._check_file(path)
        address = f"file:{quote(path)}?mode={'rw' if write else 'ro'}"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
                connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
                connection.execute(f"PRAGMA query_only = {'OFF' if write else 'ON'}")
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.set_authorizer(_permitting(_WRITING if write else _READING))
                connection.set_progress_handler(lambda: int(context.cancelled.is_set()), _STEPS)
                self._check_file(path)
                return _read(connection.execute(statement))
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise Refused("DatabaseError", f"{error}", retryable="locked" in str(error)) from error

    def _check_file(self, path: str) -> None:
        """Refuses a symlink, and anything else that is no file of its own."""
        with self._below.entry(path) as (place, name):
            if not stat.S_ISREG(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
                raise Refused("DatabaseError", f"{path} is no plain file: name the database itself, no symlink")

    def _postgres(self, url: str, statement: str, context: RunContext, *, write: bool) -> dict[str, Any]:
        try:
            import psycopg  # noqa: PLC0415 - only who asks for it has it
        except ImportError as error:
            raise Refused(
                "NotSetUp", "a database of PostgreSQL needs the package psycopg at this worker: pip install psycopg"
            ) from error
        seconds = max(int(context.task.timeout_seconds * 1000), 1)
        options = f"-c statement_timeout={seconds} -c default_transaction_read_only={'off' if write else 'on'}"
        try:
            with psycopg.connect(url, options=options, connect_timeout=int(_WAIT_SECONDS)) as connection:
                if write:
                    # Prepared: one statement, however many the text has.
                    return _read(connection.execute(statement.encode(), prepare=True))
                with connection.cursor("rows") as cursor:
                    # A cursor is declared for what reads; COPY and the like are none.
                    return _read(cursor.execute(statement.encode()))
        except psycopg.Error as error:
            raise Refused("DatabaseError", str(error), retryable=isinstance(error, psycopg.OperationalError)) from error


def _permitting(actions: Iterable[int]) -> Any:
    allowed = frozenset(actions)

    def judge(action: int, _: str | None, name: str | None, *__: str | None) -> int:
        known = action in allowed and not (action == sqlite3.SQLITE_FUNCTION and (name or "").lower() in _FORBIDDEN)
        return sqlite3.SQLITE_OK if known else sqlite3.SQLITE_DENY

    return judge


def _read(cursor: Any) -> dict[str, Any]:
    if cursor.description is None:
        return {"changed": cursor.rowcount}
    rows: Sequence[Sequence[Any]] = cursor.fetchmany(MOST_ROWS + 1)
    return {
        "columns": [column[0] for column in cursor.description],
        "rows": [[_cell(value) for value in row] for row in rows[:MOST_ROWS]],
        "cut": len(rows) > MOST_ROWS,
    }


def _cell(value: Any) -> Any:
    """As JSON."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    text = value if isinstance(value, str) else None if isinstance(value, _PLAIN) else str(value)
    return value if text is None else text[:MOST_CELL].replace("\0", "\ufffd")
