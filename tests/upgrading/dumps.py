"""Databases of earlier releases as they were left, and how tests reach any of a kind."""

import lzma
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from orchestrator.store.sqlite.engine import sqlite3
from tests.upgrading.releases import FILES, FOLDER


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """A connection that commits each statement; `%` and `?` in them are what they look like."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            yield connection
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection


def write_sqlite(release: str, file: Path) -> str:
    """The address of a file that is the one a release left."""
    file.write_bytes(_left(release, "sqlite"))
    return f"sqlite:///{file}"


def fill_postgres(release: str, url: str) -> None:
    """Put what a release left into a database without a table."""
    with connected(url) as connection:
        connection.execute(_plain(_left(release, "postgres").decode()).encode())


def _left(release: str, store: str) -> bytes:
    return lzma.decompress((FOLDER / release / FILES[store]).read_bytes())


def _plain(dump: str) -> str:
    """A dump without what only its own client understands, or only the newest servers."""
    ours = [line for line in dump.splitlines() if not line.startswith(("\\", "SET transaction_timeout"))]
    return "\n".join(ours)
