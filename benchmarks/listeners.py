"""2,000 listeners to events, 200 of them on busy directories: each hears its own once, in order; and what work loses by it.

First a steady trickle of tasks that are created, claimed and completed, while each connection gets the events of one
directory; then what each was told is compared with what the database says happened there. Then as many tasks as can be done, in
turns with the listeners and without them. SQLite; the server has one core, the clients another.
"""

import argparse
import asyncio
import re
import signal
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from benchmarks import machine, servers
from benchmarks.machine import cpu_seconds
from benchmarks.report import HEADS, Report, console, drawn, ratio
from benchmarks.resources import create, memory, poll
from benchmarks.traffic import Connection, Request, connect, run
from orchestrator.http.server import open_files
from orchestrator.store.sqlite.engine import sqlite3

Address = tuple[str, int]
LEAST_KEPT: Final = 0.9
"""Of the work that is done without listeners."""
CONNECTIONS: Final = 32
PATIENCE_S: Final = 30.0
_ID: Final = re.compile(rb"^id: \w+-(\d+)\ndata: ", re.MULTILINE)
_EVENTS: Final = "SELECT path, id FROM events WHERE id > ? ORDER BY id"


class Sizes(Struct, frozen=True):
    """How many listen, to how many busy directories, and what is done there."""

    listeners: int = 2_000
    busy: int = 200
    directories: int = 100
    rate: int = 100
    seconds: int = 30
    rounds: int = 6
    tasks: int = 3_000


SMALL: Final = Sizes(listeners=300, busy=40, directories=20, rate=50, seconds=4, rounds=2, tasks=400)


class Listening(asyncio.Protocol):
    """One stream of events; what comes is kept, and read when nothing is measured."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.parts: list[bytes] = []
        self.lost = False
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        query = f"GET /api/v1/events?work_path={self.path}&recursive=false HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
        self._transport.write(query.encode())

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        if not self.begun.done():
            self.begun.set_result(None)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost = True

    def close(self) -> None:
        self._transport.close()

    def told(self) -> list[int]:
        """The ids of all events so far, in the order in which they came."""
        return [int(number) for number in _ID.findall(_unchunked(b"".join(self.parts)))]


def _unchunked(answer: bytes) -> bytes:
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or b"chunked" not in head.lower():
        raise SystemExit(f"a listener was refused: {answer[:300]!r}")
    found = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return b"".join(found)


async def listening(address: Address, sizes: Sizes) -> list[Listening]:
    """All of them, when each has its first answer."""
    loop = asyncio.get_running_loop()
    found: list[Listening] = []
    for number in range(sizes.listeners):
        path = _path(number, sizes) if number < sizes.busy else f"/quiet/{number}"
        _, listener = await loop.create_connection(partial(Listening, path), *address)
        found.append(listener)
    await asyncio.gather(*(one.begun for one in found))
    return found


def _path(number: int, sizes: Sizes) -> str:
    return f"/busy/{number % sizes.directories}"


async def life(connection: Connection, path: str, number: int) -> None:
    """One task from its creation to its end."""
    await connection.send(create(path))
    task: dict[str, Any] = msgspec.json.decode(await connection.send(poll(number, path, 0)))["data"]
    body = msgspec.json.encode({"lease": task["lease"]})
    await connection.send(Request.build("POST", f"/api/v1/tasks/{task['id']}/complete", body))


async def trickle(pool: list[Connection], sizes: Sizes) -> None:
    """So many tasks a second, each as a worker of its own does them."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in pool:
        free.put_nowait(connection)

    async def one(number: int) -> None:
        connection = await free.get()
        await life(connection, _path(number, sizes), number)
        free.put_nowait(connection)

    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(sizes.rate * sizes.seconds):
            await asyncio.sleep(started + number / sizes.rate - time.monotonic())
            group.create_task(one(number))


async def full(pool: list[Connection], sizes: Sizes, pid: int) -> tuple[float, float]:
    """Tasks a second, as many as can be done; and for each milliseconds of the server's processor."""
    numbers = iter(range(sizes.tasks))

    async def work(connection: Connection) -> None:
        for number in numbers:
            await life(connection, _path(number, sizes), number)

    used, started = cpu_seconds([pid]), time.monotonic()
    await asyncio.gather(*(work(connection) for connection in pool))
    return sizes.tasks / (time.monotonic() - started), 1000 * (cpu_seconds([pid]) - used) / sizes.tasks


async def heard(found: list[Listening], database: Path, since: int) -> int:
    """How many events were told in all, when each was told exactly those of its directory, in their order.

    Raises SystemExit when one is missing, comes twice or comes too early.
    """
    happened: dict[str, list[int]] = {}
    with closing(sqlite3.connect(database)) as file:
        for path, number in file.execute(_EVENTS, (since,)):
            happened.setdefault(path, []).append(number)
    ends = time.monotonic() + PATIENCE_S
    waiting = found
    while waiting and time.monotonic() < ends:
        waiting = [one for one in waiting if len(one.told()) < len(happened.get(one.path, ()))]
        await asyncio.sleep(0.1)
    for one in found:
        if one.lost or one.told() != happened.get(one.path, []):
            raise SystemExit(f"the listener of {one.path} was told {one.told()[-20:]}, lost: {one.lost}; not all, once, in order")
    return sum(len(one.told()) for one in found)


async def _measured(report: Report, address: Address, pid: int, database: Path, sizes: Sizes) -> None:
    pool = await connect(address, CONNECTIONS)
    await full(pool, sizes, pid)
    before = memory(pid)
    found = await listening(address, sizes)
    each = (memory(pid) - before) / sizes.listeners / 1000
    with closing(sqlite3.connect(database)) as file:
        ((since,),) = file.execute("SELECT max(id) FROM events")
    used, started = cpu_seconds([pid]), time.monotonic()
    await trickle(pool, sizes)
    part = 100 * (cpu_seconds([pid]) - used) / (time.monotonic() - started)
    told = await heard(found, database, since)
    report.say(
        f"{sizes.listeners:,} listeners, {sizes.busy} of them on {sizes.directories} busy directories, {sizes.rate} tasks/s: "
        f"{told:,} events told, each to those it concerns, once and in order; the server took {part:.0f} % of a core"
    )
    report.bound("memory for each listener", each, " kB", most=20)
    without, beside = [], []
    for _ in range(sizes.rounds):
        beside.append(await full(pool, sizes, pid))
        for one in found:
            one.close()
        await asyncio.sleep(1)
        without.append(await full(pool, sizes, pid))
        found = await listening(address, sizes)
        await asyncio.sleep(1)
    for at, (what, unit) in enumerate((("lives", "/s"), ("processor time of a life", " ms"))):
        ours, theirs = [one[at] for one in beside], [one[at] for one in without]
        least, most = (None, round(1 / LEAST_KEPT, 2)) if at else (LEAST_KEPT, None)
        facts: dict[str, Any] = {"unit": unit, "ratio": ratio(ours, theirs), "least": least, "most": most}
        report.compare(f"{what}, with listeners", median(ours), "without", median(theirs), **facts)
    rows = [[number + 1, *had, *lacked] for number, (had, lacked) in enumerate(zip(beside, without, strict=True))]
    report.table("Rounds in turns", ["round", "with, /s", "ms", "without, /s", "ms"], rows)
    for listener in found:
        listener.close()
    for connection in pool:
        connection.close()


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - as all parts have it
    """Fill the report. Raises SystemExit when a listener was not told what it should be."""
    sizes = SMALL if small else Sizes()
    open_files(raised=True)
    most = {"APP_LIMITS_STREAMS_PER_KEY": str(sizes.listeners + 10), "APP_LIMITS_CONNECTIONS": str(sizes.listeners + 1000)}
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as made:
        directory = Path(made)
        database = directory / "tasks.db"
        with servers.apart(), servers.replica(directory, f"sqlite:///{database}", pinned=True, **most) as (address, pid):
            run(_measured(report, address, pid, database, sizes))


def main() -> int:
    """Measure this alone; written nowhere."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.listeners")
    parser.add_argument("--small", action="store_true", help="a quick run, for whether it works")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    report = Report(loud=True)
    report.say(machine.described())
    measure(report, options.small)
    console.print(drawn("Listeners", list(HEADS), [line.cells() for line in report.compared]))
    return 1 if any(line.held is False for line in report.compared) else 0


if __name__ == "__main__":
    sys.exit(main())
