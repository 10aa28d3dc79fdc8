"""The real server, started with a wall clock that a file sets forward or back, and perhaps with one of its guards taken out."""

import os
from collections.abc import Callable
from pathlib import Path

from orchestrator import cli
from orchestrator.settings import Database
from orchestrator.store import choice
from orchestrator.store.clock import Clock, wall_ms
from orchestrator.store.protocol import Store
from orchestrator.store.sqlite.store import SQLiteStore
from tests.chaos import mutations

CLOCK = "CHAOS_CLOCK"
MUTATION = "CHAOS_MUTATION"


def shifted(file: Path) -> Callable[[], int]:
    """The wall clock, and the milliseconds that a file says."""
    return lambda: wall_ms() + int(file.read_text() or 0)


def main() -> None:
    """`orchestrator ...`."""
    plain = choice.store

    def store(database: Database) -> Store:
        if database.path is None:
            return plain(database)
        clock = Clock(shifted(Path(os.environ[CLOCK])))
        return SQLiteStore(database.path, readers=database.max_connections, clock=clock)

    choice.store = store
    if name := os.environ.get(MUTATION):
        mutations.apply(name)
    cli.main()


if __name__ == "__main__":
    main()
