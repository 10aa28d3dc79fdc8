"""Numbered .sql files, each applied once, in its own transaction with the record of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sqlite_utils import Database, Migrations

from orchestrator import resources
from orchestrator.store.sqlite.engine import configure, settle, sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable


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


def migrations(directory: Path | None = None) -> Migrations:
    """The migrations of the numbered files, in order."""
    found = Migrations("orchestrator")
    for file in sorted((directory or resources.migrations("sqlite")).glob("[0-9]*.sql")):
        found(name=file.stem)(_applying(file))
    return found


def _applying(file: Path) -> "Callable[[Database], None]":
    def apply(database: Database) -> None:
        for statement in statements(file.read_text(encoding="utf-8")):
            database.execute(statement)

    apply.__name__ = file.stem
    return apply


def migrate(path: Path, directory: Path | None = None) -> list[str]:
    """Bring a database up to date, making it if need be; the names of the migrations that were applied.

    Safe to call from many processes at once: a lock file beside the database serialises them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.migrate.lock"):
        connection: Any = sqlite3.connect(str(path))
        try:
            settle(connection, path)
            configure(connection, busy_ms=30_000, writes=True)
            database = Database(connection)
            known = migrations(directory)
            pending = [migration.name for migration in known.pending(database)]
            known.apply(database)
        finally:
            connection.close()
    return pending
