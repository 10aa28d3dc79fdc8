"""One PostgreSQL server, durable and on a real disk, with a database for each of those that are compared."""

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
import uvloop
from psycopg import sql

from benchmarks import machine
from tests import postgres

T = TypeVar("T")
SETTINGS = ("shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=15min", "autovacuum_naptime=15s")
"""What anybody would set on a machine that is to be a database server; durability is PostgreSQL's own."""


class Cluster:
    """`directory`: for what is made beside the databases."""

    def __init__(self, server: str, directory: Path) -> None:
        self._server = server
        self.directory = directory

    def database(self, name: str) -> str:
        """A new, empty database; its address."""
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return postgres.at(self._server, name)

    def ask(self, query: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with psycopg.connect(url or self._server, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def run(self, statement: str, url: str) -> None:
        """Run statements that bring no rows."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def processes(self) -> list[int]:
        """The server and its backends; none when it runs on another machine."""
        with psycopg.connect(self._server) as connection:
            try:
                own = psutil.Process(connection.info.backend_pid)
                return machine.family(own.ppid()) if own.name() == "postgres" else []
            except psutil.NoSuchProcess:
                return []

    def describe(self) -> dict[str, Any]:
        """What the figures depend on."""
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")
        return {name: self.ask(f"SHOW {name}")[0][0] for name in names} | {"fdatasync_ms": machine.fdatasync(self.directory)}


@contextmanager
def cluster(server: str | None, directory: Path | None, *settings: str) -> Iterator[Cluster]:
    """A server of our own from pip's binaries, or the one that is given."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-", dir=directory) as name:
        if server is not None:
            yield Cluster(server, Path(name))
            return
        with postgres.own_server(Path(name), *SETTINGS, *settings) as own:
            yield Cluster(own.url(), Path(name))


def run(measured: Coroutine[Any, Any, T]) -> T:
    """On uvloop, as the server has it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measured)
