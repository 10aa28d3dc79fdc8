"""Which store a database address asks for; what a kind of database needs is loaded only when it is used."""

import importlib.util

from orchestrator.settings import Database
from orchestrator.store.protocol import Store
from orchestrator.store.sqlite.engine import sqlite3


class DriverMissingError(Exception):
    """The library for a kind of database is not installed; the message says how it is."""


def store(database: Database) -> Store:
    """The store at an address, not yet opened. Raises DriverMissingError."""
    if database.path is not None:
        from orchestrator.store.sqlite.store import SQLiteStore  # noqa: PLC0415 - as the other one

        return SQLiteStore(database.path, readers=database.max_connections, busy_ms=round(database.busy_timeout * 1000))
    _need_psycopg()
    from orchestrator.store.postgres.store import PostgresStore  # noqa: PLC0415 - needs the extra

    return PostgresStore(database.url, readers=database.max_connections, kept=database.min_connections)


def migrate(database: Database) -> list[str]:
    """Bring a database up to date; the names of the migrations that were applied. Raises DriverMissingError, NewerSchemaError."""
    if database.path is not None:
        from orchestrator.store.sqlite.migrate import migrate as bring_up_to_date  # noqa: PLC0415 - as the other one

        return bring_up_to_date(database.path)
    _need_psycopg()
    from orchestrator.store.postgres.migrate import migrate as bring_up_to_date_there  # noqa: PLC0415 - needs the extra

    return bring_up_to_date_there(database.url)


def pending(database: Database) -> list[str]:
    """The names of the migrations that a database lacks, which is left as it is. Raises DriverMissingError, NewerSchemaError."""
    if database.path is not None:
        from orchestrator.store.sqlite.migrate import pending as lacking  # noqa: PLC0415 - as the other one

        return lacking(database.path)
    _need_psycopg()
    from orchestrator.store.postgres.migrate import pending as lacking_there  # noqa: PLC0415 - needs the extra

    return lacking_there(database.url)


def database_errors() -> tuple[type[Exception], ...]:
    """What the libraries raise when a database cannot be used."""
    found: list[type[Exception]] = [sqlite3.DatabaseError, DriverMissingError]
    if importlib.util.find_spec("psycopg"):
        import psycopg  # noqa: PLC0415 - needs the extra

        found.append(psycopg.Error)
    return tuple(found)


def _need_psycopg() -> None:
    if importlib.util.find_spec("psycopg") is None:
        raise DriverMissingError("the library for PostgreSQL is missing: pip install 'task-orchestrator[postgres]'")
