"""Those who listen to a real server, cut at random moments while it is stopped and killed; and very many of them at once."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from orchestrator.store.sqlite.engine import sqlite3
from tests import postgres
from tests.acceptance.programs import ADDRESS, ROOT, end, environment, started
from tests.rig import STORES

pytestmark = [pytest.mark.system, pytest.mark.anyio, pytest.mark.timeout(300)]
CUTS = 100
WATCHED = "/watched"


class Site:
    """A server at one address, which is stopped, killed and started again; and what it knows."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.port = postgres.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.database = f"sqlite:///{folder / 'tasks.db'}" if kind == "sqlite" else postgres.database(folder)
        self.process: subprocess.Popen[str] | None = None
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        line = ["serve", "--port", str(self.port), "--database", self.database]
        with (self.folder / "server.log").open("a") as log:
            self.process = self._stack.enter_context(started(*line, cwd=self.folder, stderr=log))
        assert self.process.stdout is not None
        assert ADDRESS.search(self.process.stdout.readline()), (self.folder / "server.log").read_text()

    async def again(self, number: int) -> None:
        """End it by a signal, and start it."""
        assert self.process is not None
        await asyncio.to_thread(end, self.process, number)
        await asyncio.to_thread(self.start)

    def close(self) -> None:
        self._stack.close()

    def happened(self) -> list[int]:
        """The ids of all events of what is watched."""
        query = f"SELECT id FROM events WHERE path = '{WATCHED}' OR path LIKE '{WATCHED}/%' ORDER BY id"  # noqa: S608 - ours
        rows: Sequence[tuple[Any, ...]]
        if self.database.startswith("sqlite"):
            with closing(sqlite3.connect(self.folder / "tasks.db")) as file:
                rows = file.execute(query).fetchall()
        else:
            with psycopg.connect(self.database) as connection:
                rows = connection.execute(query.encode()).fetchall()
        return [number for (number,) in rows]


class Listening:
    """Reads as one stream what it gets over many connections, each cut at a random moment."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self.site = site
        self.chance = chance
        self.told: list[int] = []
        self.last: str | None = None
        self.cuts = 0
        self.begun = asyncio.Event()

    def take(self, place: str, *, event: bool) -> None:
        self.last = place
        if event:
            self.told.append(int(place.rpartition("-")[2]))
        self.begun.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            with contextlib.suppress(OSError, EOFError, WebSocketException, ConnectionClosed, TimeoutError):
                await self.once()
            self.cuts += 1
            await asyncio.sleep(self.chance.uniform(0, 0.05))

    async def once(self) -> None:
        raise NotImplementedError


class Stream(Listening):
    """Server-sent events; cut after so many bytes, wherever that is."""

    async def once(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.site.port)
        try:
            resume = "" if self.last is None else f"last-event-id: {self.last}\r\n"
            writer.write(f"GET /api/v1/events?work_path={WATCHED} HTTP/1.1\r\nhost: localhost\r\n{resume}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head.partition(b"\r\n")[0], head
            left, buffer = self.chance.randrange(1, 6_000), b""
            while left > 0:
                # Who goes by bytes alone would stay for long where little happens.
                async with asyncio.timeout(self.chance.uniform(0.1, 1)):
                    part = await reader.read(min(left, 1000))
                if not part:
                    return
                left -= len(part)
                buffer = self._framed(buffer + part)
        finally:
            writer.transport.abort()

    def _framed(self, buffer: bytes) -> bytes:
        *whole, rest = buffer.split(b"\n\n")
        for frame in whole:
            assert b"event: reset" not in frame, frame
            # Between them are the sizes of chunks, each of which is made of whole frames.
            fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line)
            if b"id" in fields:
                self.take(fields[b"id"].decode(), event=b"data" in fields)
        return rest


class Socket(Listening):
    """A WebSocket; cut after some time, wherever that is."""

    async def once(self) -> None:
        resume = "" if self.last is None else f"&after={self.last}"
        address = f"ws://127.0.0.1:{self.site.port}/ws?work_path={WATCHED}{resume}"
        async with connect(address, max_size=None, close_timeout=0.1, ping_interval=None) as connection:
            try:
                async with asyncio.timeout(self.chance.uniform(0.005, 0.5)):
                    while True:
                        message = json.loads(await connection.recv())
                        assert message["event"] in {"task_execution", "mark"}, message
                        self.take(message["id"], event=message["event"] == "task_execution")
            finally:
                connection.transport.abort()


async def work(site: Site, chance: random.Random) -> None:
    """Lives of tasks, in what is watched and beside it, whether the server is there or not."""
    paths = (WATCHED, f"{WATCHED}/deep", "/beside", f"{WATCHED}-not")
    async with httpx.AsyncClient(base_url=f"{site.url}/api/v1", timeout=5) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError, TypeError, KeyError):
                path = chance.choice(paths)
                for _ in range(chance.choice((1, 1, 5))):
                    await client.post("/tasks", json={"work_directory": path, "prompt": "Do it"})
                asked: dict[str, str | int] = {"work_path": path, "worker_id": "w", "wait": 0}
                task = (await client.get("/tasks/next", params=asked)).json()["data"]
                await client.post(f"/tasks/{task['id']}/complete", json={"lease": task["lease"]})
            await asyncio.sleep(chance.uniform(0, 0.02))


@contextlib.asynccontextmanager
async def going_on(*what: Any) -> AsyncIterator[list["asyncio.Task[None]"]]:
    tasks = [asyncio.create_task(one) for one in what]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("kind", STORES)
async def test_cut_a_hundred_times_each_event_comes_once(tmp_path: Path, kind: str) -> None:
    chance = random.Random(7)
    site = Site(tmp_path, kind)
    site.start()
    try:
        listeners = [form(site, random.Random(number)) for number, form in enumerate((Stream, Socket, Stream, Socket))]
        async with going_on(*(one.run() for one in listeners)) as reading:
            async with asyncio.timeout(60):
                await asyncio.gather(*(one.begun.wait() for one in listeners))
            async with going_on(work(site, chance)) as working:
                signals = [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGTERM]
                while (cut := min(one.cuts for one in listeners)) < CUTS or signals:
                    assert not any(task.done() for task in (*reading, *working))
                    if signals and cut > CUTS * (5 - len(signals)) / 6:
                        await site.again(signals.pop())
                    await asyncio.sleep(0.05)
            happened = site.happened()
            async with asyncio.timeout(60):
                while any(one.told[-1:] != happened[-1:] for one in listeners):  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(0.05)
        assert len(happened) > 100
        for one in listeners:
            assert one.told == happened, f"{type(one).__name__}, cut {one.cuts} times"
    finally:
        site.close()


def test_very_many_listeners_hear_each_event_once_and_in_order(tmp_path: Path) -> None:
    """A small form of the benchmark, of which only what was told matters here."""
    line = [sys.executable, "-m", "benchmarks", "listeners", "--small"]
    variables = environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    done = subprocess.run(line, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lives, with listeners" in done.stdout
