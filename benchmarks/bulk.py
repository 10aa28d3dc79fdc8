"""A SQLite file with a past and a queue of millions."""

import time
from pathlib import Path
from typing import Final

from benchmarks import past
from orchestrator.store.sqlite.engine import sqlite3
from orchestrator.store.sqlite.migrate import migrate

_NUMBERS: Final = "(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {most}) SELECT n FROM s) numbers"


def fill(path: Path, *, waiting: int, finished: int, directories: int) -> None:
    """Make and fill a file; `/bulk/0` and so on are the directories. What it does is not durable until it returns."""
    migrate(path)
    connection = sqlite3.connect(str(path), isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    # Filled at the end they cost a third.
    indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    now = str(time.time_ns() // 1_000_000)
    sizes = {"waiting": waiting, "finished": finished, "directories": directories}
    for name, statement in past.statements(now=now, numbers=_NUMBERS, **sizes):
        print(f"  {name}: {connection.execute(statement).rowcount:,}", flush=True)
    for _, definition in indexes:
        connection.execute(definition)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("INSERT INTO meta (key, value) VALUES ('filled', 'by a benchmark')")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
