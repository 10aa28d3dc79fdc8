"""A SQLite file at one end of a copy."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from orchestrator.store.copying.end import CopyFailedError, End
from orchestrator.store.copying.tables import NUMBERED, UNREAD
from orchestrator.store.protocol import DatabaseInUseError
from orchestrator.store.schema import MIGRATED_BY
from orchestrator.store.sqlite.engine import configure, sqlite3
from orchestrator.store.sqlite.migrate import migrate, refuse_newer
from worker_client.errors import NotFound

_BUSY_MS = 5_000


class SQLiteEnd(End):
    """Holds the file as a server does. `writes`: it is the target, made and migrated if need be.

    Raises NotFound, DatabaseInUseError, NewerSchemaError.
    """

    holds_nul = True

    def __init__(self, path: Path, *, writes: bool) -> None:
        super().__init__(f"sqlite:///{path.resolve()}")
        if not writes and not path.is_file():
            raise NotFound(f"there is no database at {path}")
        self._path = path
        self._lock = FileLock(f"{path}.lock")
        with self._words():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise DatabaseInUseError(
                    f"{self.shown} is used by another process (it holds {self._lock.lock_file}): stop that server first"
                ) from None
            try:
                if writes:
                    migrate(path)
                self._connection = _connected(path, writes=writes)
            except BaseException:
                self._lock.release()
                raise

    @contextmanager
    def _words(self, what: str = "") -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise CopyFailedError(f"{self.shown}{what}: {error}") from error

    @contextmanager
    def _transaction(self, what: str = "") -> Iterator[None]:
        with self._words(what):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def refuse_newer(self) -> None:
        """Raise NewerSchemaError if a later version has changed the tables, of which this one would leave something out."""
        refuse_newer(self._connection, self._path)

    def columns(self, table: str) -> list[str]:
        """The columns of a table; none when there is no such table."""
        return [name for (name,) in self.fetch("SELECT name FROM pragma_table_info(?)", [table])]

    def read(self, query: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query as they come."""
        with self._words():
            yield from self._connection.execute(query, params)

    def fetch(self, query: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The few rows of a query."""
        return list(self.read(query, params))

    def last_ids(self) -> dict[str, int]:
        """The highest id that each of the NUMBERED tables ever gave out."""
        return dict.fromkeys(NUMBERED, 0) | dict(self.fetch("SELECT name, seq FROM sqlite_sequence"))

    def put(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], meta: Mapping[str, str]) -> None:
        """Add rows and set `meta`, in one transaction."""
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        with self._transaction(f", {table}"):
            self._connection.executemany(insert, rows)
            self._connection.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", meta.items())

    def conclude(self, meta: Mapping[str, str], last_ids: Mapping[str, int]) -> None:
        """Make it a database to be served, in one transaction."""
        own = self.last_ids()
        numbered = [(last, table) for table in NUMBERED if (last := max(last_ids[table], own[table]))]
        with self._transaction():
            self._connection.executemany("DELETE FROM sqlite_sequence WHERE name = ?", [(table,) for table in NUMBERED])
            self._connection.executemany("INSERT INTO sqlite_sequence (seq, name) VALUES (?, ?)", numbered)
            self._connection.execute(UNREAD)
            self._connection.execute("DELETE FROM meta WHERE key <> ?", [MIGRATED_BY])
            self._connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", meta.items())

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        self._lock.release()


def _connected(path: Path, *, writes: bool) -> "sqlite3.Connection":
    connection = sqlite3.connect(str(path))
    try:
        configure(connection, busy_ms=_BUSY_MS, writes=writes)
    except BaseException:
        connection.close()
        raise
    return connection
