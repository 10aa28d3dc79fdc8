"""Which SQLite is used, and how a connection to it is set up."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import aiosqlite

from worker_client.errors import Overloaded

if TYPE_CHECKING:
    import sqlite3 as sqlite3  # noqa: PLC0414 - exported to the other stores
else:
    try:
        from pysqlite3 import dbapi2 as sqlite3
    except ImportError:  # no wheel for this platform: the one Python was built with
        import sqlite3

T = TypeVar("T")

# Without an adapter binding a None raises and catches errors inside: 0.6 µs each, half the time of a transaction.
sqlite3.register_adapter(type(None), dict[None, None]().get)
sqlite3.register_adapter(bool, int)

_UNWRITABLE: Final = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
}  # fmt: skip
_CHUNK: Final = 2**20
_STEPS: Final = 10_000
"""Of SQLite's machine between two looks at the clock: less than a millisecond."""
VULNERABLE: Final = ((3, 7, 0), (3, 51, 3))
_MENDED: Final = {(3, 44): 6, (3, 50): 7}


def vulnerable(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this build can corrupt a WAL file when two connections write at one instant (sqlite.org, 3.51.3)."""
    low, high = VULNERABLE
    if not low <= version < high:
        return False
    return version[2] < _MENDED.get((version[0], version[1]), 10**6)


def unwritable(error: BaseException) -> bool:
    """Whether it is the disk, or another program on the file, that keeps from writing."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in _UNWRITABLE


class Connection(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole function on its thread: one hop for many statements."""

    async def run(self, function: Callable[["sqlite3.Connection"], T]) -> T:
        """Call `function` with the SQLite connection, on its thread."""

        def on_thread() -> T:
            return function(self._conn)

        result: T = await self._execute(on_thread)  # type: ignore[no-untyped-call]
        return result


def configure(connection: "sqlite3.Connection", *, busy_ms: int, writes: bool) -> None:
    """Set a connection up: WAL, FULL (an answered write survives a power cut), foreign keys."""
    connection.isolation_level = None
    statements = [f"PRAGMA busy_timeout = {busy_ms:d}", "PRAGMA foreign_keys = ON", "PRAGMA trusted_schema = OFF"]
    if writes:
        # Before the first table, so that the file can shrink later; then WAL, which makes the file.
        statements += ["PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"]
        statements += ["PRAGMA cache_size = -16000", "PRAGMA wal_autocheckpoint = 4000", "PRAGMA journal_size_limit = 67108864"]
    else:
        statements += ["PRAGMA query_only = ON", "PRAGMA cache_size = -4000"]
    for statement in statements:
        connection.execute(statement)


def settle(connection: "sqlite3.Connection", path: Path) -> None:
    """Write a log that was left behind over itself, and sync it: after an I/O error it may be in nothing but the cache."""
    wal = path.with_name(f"{path.name}-wal")
    if not wal.exists():
        return
    # Nobody appends to it meanwhile.
    connection.execute("BEGIN IMMEDIATE")
    # SQLite has removed it when the database beside it is gone.
    if wal.exists():
        with wal.open("r+b", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                file.seek(-len(chunk), os.SEEK_CUR)
                file.write(chunk)
            os.fsync(file.fileno())
    connection.execute("ROLLBACK")


async def connect(path: Path, *, busy_ms: int = 30_000, writes: bool = False) -> Connection:
    """Open a connection on a thread of its own; every one that is opened must be closed, or the process does not end."""

    def connector() -> Any:
        connection = sqlite3.connect(str(path), isolation_level=None, check_same_thread=False, cached_statements=256)
        try:
            configure(connection, busy_ms=busy_ms, writes=writes)
        except BaseException:
            connection.close()
            raise
        return connection

    return cast("Connection", await Connection(connector, iter_chunk_size=64))


class TooLongError(Overloaded):
    """What was asked takes longer than anybody may read: the log cannot be folded into the database meanwhile."""


class ReaderPool:
    """A few read-only connections, each used by one query at a time, for `most_s` seconds."""

    def __init__(self, connections: list[Connection], *, most_s: float = 1.0) -> None:
        self._all = connections
        self._most_s = most_s
        self._free: asyncio.Queue[Connection] = asyncio.Queue()
        for connection in connections:
            self._free.put_nowait(connection)

    async def fetch(self, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
        """The rows of one query. Raises TooLongError."""
        connection = await self._free.get()
        try:
            return await connection.run(lambda db: self._read(db, sql, params))
        finally:
            # Also when cancelled: the connection's thread takes one function after the other anyway.
            self._free.put_nowait(connection)

    def _read(self, database: "sqlite3.Connection", sql: str, params: Any) -> list[tuple[Any, ...]]:
        deadline = time.monotonic() + self._most_s
        database.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            return database.execute(sql, params).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            raise TooLongError(
                f"this takes longer than {self._most_s:g} s to look up, which would hold up others: "
                "ask for less, by work_path, status, created_after or a cursor; or try again when there is less to do",
                retry_after=5.0,
            ) from None

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._all:
            await connection.close()
