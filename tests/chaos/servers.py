"""Real servers on one database, to be killed, stopped and started, and the clock that they read."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg

from tests import postgres
from tests.acceptance.programs import end, environment
from tests.chaos import facts
from tests.chaos.program import CLOCK, MUTATION

START_S: Final = 40
_CLOCK: Final = """
    CREATE SCHEMA chaos;
    CREATE TABLE chaos.jump (by interval NOT NULL);
    INSERT INTO chaos.jump VALUES ('0');
    CREATE FUNCTION chaos.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM chaos.jump)';
    CREATE FUNCTION chaos.statement_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT pg_catalog.statement_timestamp() + (SELECT by FROM chaos.jump)';
    ALTER DATABASE postgres SET search_path = chaos, pg_catalog
"""
"""The servers' own functions of these names come first, and tell a time that can be set."""


class Server:
    """A server process on a port of its own."""

    def __init__(self, folder: Path, url: str, mutation: str = "") -> None:
        self.port = postgres.free_port()
        self.log = folder / f"server-{self.port}.log"
        self._folder = folder
        self._variables = {CLOCK: str(folder / "clock"), MUTATION: mutation, "APP_LOG_LEVEL": "warning"}
        self._line = ["serve", "--port", str(self.port), "--database", url]
        self._process: subprocess.Popen[str] | None = None
        self.stopped = False

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    async def start(self) -> None:
        """Start it, and wait until it answers; while its database is away it is started again and again."""
        deadline = time.monotonic() + START_S
        while True:
            process = self._begin()
            assert process.stdout is not None
            if str(self.port) in await asyncio.to_thread(process.stdout.readline):
                return
            self.kill()
            if time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text()[-3000:])
            await asyncio.sleep(0.2)

    def _begin(self) -> "subprocess.Popen[str]":
        line = [sys.executable, "-m", "tests.chaos.program", *self._line]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                line, cwd=self._folder, env=environment(**self._variables), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=log, text=True,
            )  # fmt: skip
        return self._process

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self.stopped = number is signal.SIGSTOP

    def kill(self) -> None:
        """As a power cut does for the process alone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self.stopped = False

    async def leave(self) -> None:
        """In order: it answers whom it still can."""
        assert self._process is not None
        await asyncio.to_thread(end, self._process)
        self.kill()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


class System(Protocol):
    """What the clients talk to."""

    servers: list[Server]
    facts: facts.SQLite | facts.PostgreSQL
    postgres: postgres.Postgres | None

    async def set_clock(self, ms: int) -> None:
        """Set the wall clock that the servers read so far from the real one."""


class OnSQLite:
    """One server on a file."""

    postgres = None

    def __init__(self, folder: Path, mutation: str = "") -> None:
        self._clock = folder / "clock"
        self._clock.write_text("0")
        self._path = folder / "tasks.db"
        self.servers = [Server(folder, f"sqlite:///{self._path}", mutation)]

    async def start(self) -> None:
        await self.servers[0].start()
        self.facts = facts.SQLite(self._path)

    async def set_clock(self, ms: int) -> None:
        written = self._clock.with_suffix(".new")
        written.write_text(str(ms))
        written.replace(self._clock)

    def close(self) -> None:
        for server in self.servers:
            server.close()
        self.facts.close()


class OnPostgreSQL:
    """Some servers on a database server of their own."""

    def __init__(self, folder: Path, memory: Path, mutation: str = "", count: int = 3) -> None:
        (folder / "clock").write_text("0")
        self.postgres = postgres.Postgres(memory, durable=True)
        self._url = self.postgres.url()
        self.facts = facts.PostgreSQL(self._url)
        with psycopg.connect(self._url, autocommit=True) as connection:
            for statement in _CLOCK.split(";\n"):
                connection.execute(statement.encode())
        self.servers = [Server(folder, self._url, mutation) for _ in range(count)]

    async def start(self) -> None:
        for server in self.servers:
            await server.start()

    async def set_clock(self, ms: int) -> None:
        def write() -> None:
            with psycopg.connect(self._url, autocommit=True, connect_timeout=3) as connection:
                connection.execute("UPDATE chaos.jump SET by = %s * interval '1 ms'", [ms])

        with contextlib.suppress(psycopg.Error):
            await asyncio.to_thread(write)

    def backends(self, most: int) -> None:
        """Have the database break off some connections of the servers."""
        query = b"""
            SELECT pg_terminate_backend(pid) FROM (
                SELECT pid FROM pg_stat_activity WHERE application_name = 'task-orchestrator' ORDER BY random() LIMIT %s
            ) some
        """
        with contextlib.suppress(psycopg.Error), psycopg.connect(self._url, autocommit=True, connect_timeout=3) as connection:
            connection.execute(query, [most])

    def close(self) -> None:
        for server in self.servers:
            server.close()
        self.postgres.stop(signal.SIGQUIT)


@asynccontextmanager
async def running(store: str, folder: Path, memory: Path, mutation: str = "") -> AsyncIterator[Any]:
    """The servers on a kind of store, started; gone afterwards. `memory`: a folder for a database server."""
    system = OnSQLite(folder, mutation) if store == "sqlite" else OnPostgreSQL(folder, memory, mutation)
    try:
        await system.start()
        yield system
    finally:
        system.close()
