"""Numbered .sql files, each applied once, in its own transaction with the record of it."""

from pathlib import Path
from typing import Final

import psycopg

from orchestrator import resources
from orchestrator.store.postgres.engine import PATIENCE_S

LOCK: Final = 0x6F726368
"""The advisory lock of migrations: "orch" in ASCII."""


def migrate(url: str, directory: Path | None = None) -> list[str]:
    """Bring a database up to date; the names of the migrations that were applied.

    Safe to call from many processes at once: an advisory lock serialises them. Raises psycopg.Error.
    """
    applied: list[str] = []
    with psycopg.connect(url, autocommit=True, connect_timeout=PATIENCE_S) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS _migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = {name for (name,) in connection.execute("SELECT name FROM _migrations")}
        for file in sorted((directory or resources.migrations("postgres")).glob("[0-9]*.sql")):
            if file.stem in known:
                continue
            with connection.transaction():
                connection.execute(file.read_text(encoding="utf-8"))
                connection.execute("INSERT INTO _migrations (name) VALUES (%s)", [file.stem])
            applied.append(file.stem)
    return applied
