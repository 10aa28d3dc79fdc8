"""The file beside an SQLite database by which the command line finds the server that has it, and is let in."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def announced(database: Path | None, key: str) -> Iterator[Callable[[str], None]]:
    """Write the address into the file when it is known, with a key for who may read it; take the file away at the end."""
    if database is None:
        yield lambda _: None
        return
    file = Path(f"{database}.serving")

    def write(address: str) -> None:
        fresh = Path(f"{file}.new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            json.dump({"address": address, "key": key, "pid": os.getpid()}, opened)
        fresh.replace(file)

    try:
        yield write
    finally:
        file.unlink(missing_ok=True)
