"""Numbered .sql files, each applied once, in its own transaction with the record of it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock

from orchestrator import __version__, resources
from orchestrator.store.protocol import DatabaseInUseError
from orchestrator.store.schema import MIGRATED_BY, files, needed
from orchestrator.store.sqlite.engine import configure, settle, sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlite_utils import Database

_SET: Final = "orchestrator"
_MODES: Final = slice(18, 20)
"""Where a database file says how it is written and read (sqlite.org/fileformat2.html, 1.3)."""
_WITHOUT_LOG: Final = b"\1\1"
"""As backups are; what has been served never is."""
_ALONE: Final = ", content = '', contentless_delete = 1"
"""An index of words without the words; before this version of SQLite none of which something could be removed."""
_ALONE_SINCE: Final = (3, 43, 0)


class StrangeLogError(DatabaseInUseError):
    """The write-ahead log beside a database is that of another one."""


def statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: executescript would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        yield statement.strip()


def migrate(path: Path, directory: Path | None = None) -> list[str]:
    """Bring a database up to date, making it if need be; the names of the migrations that were applied.

    Safe to call from many processes at once: a lock file beside the database serialises them. Raises StrangeLogError,
    NewerSchemaError.
    """
    known = files(directory or resources.migrations("sqlite"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.migrate.lock"):
        _refuse_strange_log(path)
        with suppress(FileExistsError):
            # Prompts and results are in it; its logs get the mode that it has.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        connection: Any = sqlite3.connect(str(path))
        try:
            settle(connection, path)
            configure(connection, busy_ms=30_000, writes=True)
            lacking = _lacking(connection, path, known)
            if lacking:
                _apply(connection, known)
        finally:
            connection.close()
    return [file.stem for file in lacking]


def pending(path: Path) -> list[str]:
    """The names of the migrations that a database lacks, all of them when there is none. Raises NewerSchemaError."""
    known = files(resources.migrations("sqlite"))
    if not path.is_file():
        return [file.stem for file in known]
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return [file.stem for file in _lacking(connection, path, known)]


def _refuse_strange_log(path: Path) -> None:
    """SQLite would write an old log into a backup that was put in the place of its database, which it undoes or destroys."""
    wal = path.with_name(f"{path.name}-wal")
    if not (path.exists() and wal.exists() and wal.stat().st_size):
        return
    with path.open("rb") as file:
        header = file.read(_MODES.stop)
    if header[_MODES] == _WITHOUT_LOG:
        raise StrangeLogError(
            f"{wal} is not of {path}, which has been put in the place of another database: "
            f"remove {wal.name} and {path.name}-shm, and start again"
        )


def _lacking(connection: Any, path: Path, known: list[Path]) -> list[Path]:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = '_sqlite_migrations'").fetchone():
        return known
    applied = [name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", [_SET])]
    by = connection.execute("SELECT value FROM meta WHERE key = ?", [MIGRATED_BY]).fetchone() if applied else None
    return needed(str(path), known, applied, by and by[0])


def refuse_newer(connection: Any, path: Path) -> None:
    """Raise NewerSchemaError if this version must not read the database behind a connection."""
    _lacking(connection, path, files(resources.migrations("sqlite")))


def _apply(connection: Any, known: Iterable[Path]) -> None:
    from sqlite_utils import Database, Migrations  # noqa: PLC0415 - large, and needed once in a version

    migrations = Migrations(_SET)
    for file in known:
        migrations(name=file.stem)(_applying(file))
    migrations.apply(Database(connection))


def _applying(file: Path) -> "Callable[[Database], None]":
    def apply(database: "Database") -> None:
        for statement in statements(file.read_text(encoding="utf-8")):
            database.execute(statement if sqlite3.sqlite_version_info >= _ALONE_SINCE else statement.replace(_ALONE, ""))
        database.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", [MIGRATED_BY, __version__])

    apply.__name__ = file.stem
    return apply
