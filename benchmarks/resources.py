"""Memory and processor time of one server on SQLite: idle, with thousands of parked polls, at a trickle, at full load."""

import asyncio
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any, Final

import msgspec
import psutil
from msgspec import Struct

from benchmarks import servers
from benchmarks.machine import cpu_seconds, fdatasync
from benchmarks.report import Report
from benchmarks.traffic import Connection, Request, connect, run

Address = tuple[str, int]
MOST_IDLE_MB: Final = 64.0
MOST_FULL_MB: Final = 110.0
MOST_GROWTH_MB: Final = 4.0
"""From the first third of full load to its end: what is remembered of the past is full by then."""
MOST_POLL_KB: Final = 16.0
MOST_PARKED_CPU: Final = 0.02
MOST_WAKE_MS: Final = 3.0
"""Over what one fdatasync takes."""
MOST_WAKE_P99_MS: Final = 15.0
MOST_TRICKLE_CPU: Final = 0.10
TRICKLE: Final = 100
CONNECTIONS: Final = 64
MB: Final = 1e6


class Sizes(Struct, frozen=True):
    """How much is measured, and for how many seconds."""

    polls: int = 5_000
    wakes: int = 500
    quiet: float = 10
    trickle: float = 30
    full: float = 600


SMALL: Final = Sizes(polls=500, wakes=50, quiet=3, trickle=5, full=10)


class Parked(Struct, frozen=True):
    """What parked polls cost, and how soon a task reached one of them."""

    each: float
    cpu: float
    wakes: list[float]


@contextmanager
def compiled(directory: Path) -> Iterator[dict[str, str]]:
    """Variables for a server that finds its code compiled, as where it is installed: compiling takes memory of its own."""
    variables = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(directory / "compiled")}
    with _fresh(directory, "first", variables):
        pass
    yield variables


def memory(pid: int) -> float:
    """Resident bytes."""
    return float(psutil.Process(pid).memory_info().rss)


async def parked(address: Address, pid: int, sizes: Sizes) -> Parked:
    """Polls of as many workers, each for a directory of its own; then tasks for some of them, one after the other."""
    (asker,) = await connect(address, 1)
    await asker.send(poll(0, "/warm", 0))
    before = memory(pid)
    polls = await connect(address, sizes.polls)
    held = [asyncio.create_task(one.send(poll(number, f"/parked/{number}", 50))) for number, one in enumerate(polls)]
    await all_parked(asker, sizes.polls)
    each = (memory(pid) - before) / sizes.polls
    used, started = cpu_seconds([pid]), time.monotonic()
    await asyncio.sleep(sizes.quiet)
    cpu = (cpu_seconds([pid]) - used) / (time.monotonic() - started)
    wakes = []
    for number in Random(1).sample(range(sizes.polls), sizes.wakes):
        started = time.perf_counter()
        _, answer = await asyncio.gather(asker.send(create(f"/parked/{number}")), held[number])
        wakes.append(1000 * (time.perf_counter() - started))
        if msgspec.json.decode(answer)["data"] is None:
            raise SystemExit("a parked poll was answered without the task that was created for it")
    if await polls_of(asker) != sizes.polls - sizes.wakes:
        raise SystemExit("polls were answered that no task was created for")
    for one in held:
        one.cancel()
    for connection in (*polls, asker):
        connection.close()
    return Parked(each, cpu, wakes)


def poll(number: int, path: str, wait: int) -> Request:
    return Request.build("GET", f"/api/v1/tasks/next?work_path={path}&worker_id=host-{number}-3f9c2a&wait={wait}")


def create(path: str) -> Request:
    return Request.build("POST", "/api/v1/tasks", msgspec.json.encode({"work_directory": path, "prompt": "Make the tests pass."}))


async def all_parked(asker: Connection, count: int) -> None:
    """Until so many are, and nothing is under way any more."""
    while await polls_of(asker) < count:  # noqa: ASYNC110 - what is waited for is another process
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)


async def polls_of(asker: Connection) -> int:
    lines = (await asker.send(Request.build("GET", "/metrics"))).decode().splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("parked_polls "))


async def live(connection: Connection, path: str) -> None:
    """Create, claim and complete a task."""
    await connection.send(create(path))
    answer = await connection.send(poll(0, path, 0))
    task: dict[str, Any] = msgspec.json.decode(answer)["data"]
    body = msgspec.json.encode({"lease": task["lease"], "result": {"ok": True}})
    await connection.send(Request.build("POST", f"/api/v1/tasks/{task['id']}/complete", body))


async def trickle(address: Address, pid: int, seconds: float) -> float:
    """A request every hundredth of a second; the part of a core that takes."""
    (connection,) = await connect(address, 1)
    await live(connection, "/trickle")
    used, started = cpu_seconds([pid]), time.monotonic()
    lives = round(seconds * TRICKLE / 3)
    for number in range(lives):
        await asyncio.sleep(started + 3 * number / TRICKLE - time.monotonic())
        await live(connection, "/trickle")
    part = (cpu_seconds([pid]) - used) / (time.monotonic() - started)
    connection.close()
    return part


async def full(address: Address, pid: int, seconds: float) -> tuple[list[float], float]:
    """As much as the server can do; its memory each hundredth of the time, and lives a second."""
    pool, ends, done = await connect(address, CONNECTIONS), time.monotonic() + seconds, 0
    seen: list[float] = []

    async def work(number: int, connection: Connection) -> None:
        nonlocal done
        while time.monotonic() < ends:
            await live(connection, f"/full/{number}")
            done += 1

    async def look() -> None:
        while time.monotonic() < ends:
            await asyncio.sleep(seconds / 100)
            seen.append(memory(pid))

    await asyncio.gather(look(), *(work(number, one) for number, one in enumerate(pool)))
    for connection in pool:
        connection.close()
    return seen, done / seconds


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - all parts are called alike
    sizes = SMALL if small else Sizes()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name, servers.apart():
        directory = Path(name)
        synced = fdatasync(directory)
        with compiled(directory) as variables:
            _idle(report, directory, variables)
            _parked(report, directory, variables, sizes, synced)
            _loaded(report, directory, variables, sizes)


@contextmanager
def _fresh(directory: Path, name: str, variables: dict[str, str]) -> Iterator[tuple[Address, int]]:
    (directory / name).mkdir(exist_ok=True)
    database = f"sqlite:///{directory / name / 'tasks.db'}"
    with servers.replica(directory / name, database, pinned=hasattr(os, "sched_setaffinity"), **variables) as running:
        yield running


def _idle(report: Report, directory: Path, variables: dict[str, str]) -> None:
    # On a database that is up to date: making one takes a library of its own.
    with _fresh(directory, "first", variables) as (address, pid):
        run(_asked_once(address))
        time.sleep(2)
        report.bound("idle server, memory", memory(pid) / MB, " MB", most=MOST_IDLE_MB)


async def _asked_once(address: Address) -> None:
    (asker,) = await connect(address, 1)
    await asker.send(Request.build("GET", "/health"))
    asker.close()


def _parked(report: Report, directory: Path, variables: dict[str, str], sizes: Sizes, synced: float) -> None:
    with _fresh(directory, "parked", variables) as (address, pid):
        found = run(parked(address, pid, sizes))
    p99 = quantiles(found.wakes, n=100)[98]
    report.bound(f"a parked poll of {sizes.polls:,}, memory over idle", found.each / 1000, " kB", most=MOST_POLL_KB)
    report.bound(f"{sizes.polls:,} parked polls, part of a core", found.cpu, "", most=MOST_PARKED_CPU)
    over = median(found.wakes) - synced
    report.bound("a task reaches one of them, median over one fdatasync", over, " ms", most=MOST_WAKE_MS)
    report.bound("a task reaches one of them, p99", p99, " ms", most=MOST_WAKE_P99_MS)
    report.say(f"{sizes.wakes} tasks were created, each for one of the polls: {median(found.wakes):.2f} ms from the request to")
    report.say(
        f"the answer of the poll (median), {p99:.2f} ms (p99); an fdatasync took {synced:.2f} ms. The others stayed parked."
    )


def _loaded(report: Report, directory: Path, variables: dict[str, str], sizes: Sizes) -> None:
    with _fresh(directory, "loaded", variables) as (address, pid):
        part = run(trickle(address, pid, sizes.trickle))
        report.bound(f"{TRICKLE} requests a second, part of a core", part, "", most=MOST_TRICKLE_CPU)
        seen, lives = run(full(address, pid, sizes.full))
    growth = seen[-1] - seen[len(seen) // 3]
    report.bound("full load, most memory", max(seen) / MB, " MB", most=MOST_FULL_MB)
    report.bound("full load, growth after its first third", growth / MB, " MB", most=MOST_GROWTH_MB)
    report.say(f"Full load: {CONNECTIONS} connections, {lives:,.0f} lives of tasks a second, for {sizes.full:,.0f} s.")
