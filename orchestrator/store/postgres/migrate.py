"""Numbered .sql files, each applied once, in its own transaction with the record of it."""

from pathlib import Path
from typing import Any, Final

import psycopg

from orchestrator import __version__, resources
from orchestrator.store.postgres.engine import PATIENCE_S
from orchestrator.store.schema import MIGRATED_BY, files, needed

LOCK: Final = 0x6F726368
"""The advisory lock of migrations: "orch" in ASCII."""


_MARK: Final = "INSERT INTO meta (key, value) VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def migrate(url: str, directory: Path | None = None) -> list[str]:
    """Bring a database up to date; the names of the migrations that were applied.

    Safe to call from many processes at once: an advisory lock serialises them. Raises psycopg.Error, NewerSchemaError.
    """
    with psycopg.connect(url, autocommit=True, connect_timeout=PATIENCE_S) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS _migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        lacking = _lacking(connection, files(directory or resources.migrations("postgres")))
        for file in lacking:
            with connection.transaction():
                connection.execute(file.read_text(encoding="utf-8"))
                connection.execute("INSERT INTO _migrations (name) VALUES (%s)", [file.stem])
                connection.execute(_MARK, [MIGRATED_BY, __version__])
    return [file.stem for file in lacking]


def pending(url: str) -> list[str]:
    """The names of the migrations that a database lacks. Raises psycopg.Error, NewerSchemaError."""
    with psycopg.connect(url, autocommit=True, connect_timeout=PATIENCE_S) as connection:
        return [file.stem for file in _lacking(connection, files(resources.migrations("postgres")))]


def _lacking(connection: "psycopg.Connection[Any]", known: list[Path]) -> list[Path]:
    ((there,),) = connection.execute("SELECT to_regclass('_migrations') IS NOT NULL").fetchall()
    applied = [name for (name,) in connection.execute("SELECT name FROM _migrations")] if there else []
    by = connection.execute("SELECT value FROM meta WHERE key = %s", [MIGRATED_BY]).fetchone() if applied else None
    return needed(f"the database {connection.info.dbname}", known, applied, by and by[0])
