"""A million waiting tasks in 10,000 directories and five million finished ones, beside an empty database; SQLite."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

import msgspec
from msgspec import Struct

from benchmarks import bulk, servers
from benchmarks.report import Report, ratio
from benchmarks.traffic import Connection, Request, Result, connect, drive, run

Address = tuple[str, int]
CONNECTIONS: Final = 64
LEAST: Final = 0.9
"""Parts of the speed on an empty database."""
MOST_READ_MS: Final = 50.0
MOST_START_S: Final = 2.0
MOST_PAUSE_MS: Final = 100.0
WAL_BYTES: Final = 64 * 2**20
_PRUNED: Final = 0.2
"""The part of the finished tasks that goes: a million of five."""
_READS: Final = {
    "list, first page": "tasks",
    "list of waiting": "tasks?status=waiting",
    "list of completed": "tasks?status=completed",
    "list of failed": "tasks?status=failed",
    "list of a directory": "tasks?work_path=/bulk/{n}",
    "list of all below": "tasks?work_path=/bulk&recursive=true",
    "statistics": "statistics",
    "task": "tasks/{n}",
}
_HOLDER: Final = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM meta").fetchall()
print("holds", flush=True)
time.sleep(600)
"""


class Sizes(Struct, frozen=True):
    """What is in the full database, and how much is measured."""

    waiting: int = 1_000_000
    finished: int = 5_000_000
    directories: int = 10_000
    rounds: int = 8
    count: int = 2_000
    reads: int = 100


SMALL: Final = Sizes(waiting=10_000, finished=50_000, directories=1_000, rounds=2, count=200, reads=20)


class Asker:
    """Clients of one server, that create, claim and complete."""

    def __init__(self, pool: list[Connection]) -> None:
        self.pool = pool

    async def lives(self, paths: list[str]) -> dict[str, Result]:
        """A task in each of the directories: created, claimed, completed."""
        leases: list[tuple[int, str]] = []

        def claimed(body: bytes) -> None:
            task: dict[str, Any] = msgspec.json.decode(body)["data"]
            leases.append((task["id"], task["lease"]))

        bodies = [msgspec.json.encode({"work_directory": path, "prompt": "Make the tests pass."}) for path in paths]
        found = {"create": await drive(self.pool, [Request.build("POST", "/api/v1/tasks", body) for body in bodies])}
        asks = [Request.build("GET", f"/api/v1/tasks/next?work_path={path}&wait=0&worker_id=bench") for path in paths]
        found["claim"] = await drive(self.pool, asks, claimed)
        found["complete"] = await self._complete(leases)
        below = "/api/v1/tasks/next?work_path=/bulk&recursive=true&wait=0&worker_id=bench-"
        await drive(self.pool, [Request.build("POST", "/api/v1/tasks", body) for body in bodies[:CONNECTIONS]])
        leases.clear()
        asks = [Request.build("GET", f"{below}{n}") for n in range(CONNECTIONS)]
        found["claim below all directories"] = await drive(self.pool, asks, claimed)
        await self._complete(leases)
        return found

    async def _complete(self, leases: list[tuple[int, str]]) -> Result:
        bodies = [(task, msgspec.json.encode({"lease": lease, "result": {"ok": True}})) for task, lease in leases]
        return await drive(self.pool, [Request.build("POST", f"/api/v1/tasks/{task}/complete", body) for task, body in bodies])


async def in_turn(full: Address, empty: Address, sizes: Sizes) -> dict[str, dict[str, list[Result]]]:
    """Results by operation and server, round by round: of workers with a directory each, and then all over the place.

    There each operation touches pages that nobody has for long.
    """
    addresses = {"full": full, "empty": empty}
    chance = Random(7)
    found: dict[str, dict[str, list[Result]]] = {}
    for at in range(-1, sizes.rounds):
        own = [f"/bulk/{chance.randrange(sizes.directories)}" for _ in range(CONNECTIONS)]
        spread = [f"/bulk/{chance.randrange(sizes.directories)}" for _ in range(sizes.count)]
        for which in addresses if at % 2 else reversed(addresses):
            # Anew each time, as a server hangs up on who says nothing while it is the other's turn.
            asker = Asker(await connect(addresses[which], CONNECTIONS))
            results = await asker.lives([own[n % CONNECTIONS] for n in range(sizes.count)])
            others = await asker.lives(spread)
            for connection in asker.pool:
                connection.close()
            results |= {f"{name}, each in another directory": others[name] for name in ("create", "claim", "complete")}
            for name, result in results.items():
                if at >= 0:
                    found.setdefault(name, {}).setdefault(which, []).append(result)
    return found


async def reads(address: Address, sizes: Sizes) -> dict[str, Result]:
    """What people ask, one question after the other."""
    pool = await connect(address, 1)
    chance = Random(8)
    found = {}
    for name, path in _READS.items():
        asked = [path.format(n=chance.randrange(1, sizes.directories)) for _ in range(sizes.reads)]
        found[name] = await drive(pool, [Request.build("GET", f"/api/v1/{one}") for one in asked])
    pool[0].close()
    return found


async def fill_log(address: Address, wal: Path) -> None:
    """Create tasks until the write-ahead log is full."""
    (connection,) = await connect(address, 1)
    tasks = [{"work_directory": f"/bulk/{n}", "prompt": "Make the tests pass. " * 10} for n in range(1000)]
    request = Request.build("POST", "/api/v1/tasks/batch", msgspec.json.encode({"tasks": tasks}))
    while os.stat(wal).st_size < WAL_BYTES:  # noqa: PTH116 - takes microseconds
        await connection.send(request)
    connection.close()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another program reads the file, so that its log cannot be folded in; it is killed, as its farewell would fold it."""
    command = [sys.executable, "-c", _HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            if holder.stdout is None or not holder.stdout.readline():
                raise SystemExit("the file could not be read")
            yield
        finally:
            holder.kill()


async def first_answer(address: Address) -> None:
    """Ask something of the database."""
    (connection,) = await connect(address, 1)
    await connection.send(Request.build("GET", "/api/v1/tasks?limit=1"))
    connection.close()


def start_with_full_log(path: Path) -> tuple[float, float]:
    """Seconds to the first answer after kill -9 with a full log, and megabytes of that log."""
    wal = path.with_name(f"{path.name}-wal")
    with servers.replica(path.parent, f"sqlite:///{path}") as (address, pid), held(path):
        run(fill_log(address, wal))
        os.kill(pid, signal.SIGKILL)
    size = wal.stat().st_size
    started = time.perf_counter()
    with servers.replica(path.parent, f"sqlite:///{path}") as (address, _):
        run(first_answer(address))
        return time.perf_counter() - started, size / 1e6


async def pauses(address: Address, until: asyncio.Event) -> list[float]:
    """Milliseconds of creates and claims, one after the other, until something happens."""
    (connection,) = await connect(address, 1)
    body = msgspec.json.encode({"work_directory": "/pause", "prompt": "Make the tests pass."})
    create = Request.build("POST", "/api/v1/tasks", body)
    claim = Request.build("GET", "/api/v1/tasks/next?work_path=/pause&worker_id=w")
    found = []
    while not until.is_set():
        for request in (create, claim):
            started = time.perf_counter()
            await connection.send(request)
            found.append(1000 * (time.perf_counter() - started))
    connection.close()
    return found


async def watched(address: Address, tasks: int, patience: float) -> tuple[float, list[float], list[float]]:
    """Until so many tasks are gone: tasks a second, the pauses before the first went, and those while they went."""
    (connection,) = await connect(address, 1)

    async def completed() -> int:
        answer = msgspec.json.decode(await connection.send(Request.build("GET", "/api/v1/statistics")))
        return int(answer["data"]["by_status"]["completed"])

    over, begun = asyncio.Event(), asyncio.Event()
    before = asyncio.create_task(pauses(address, begun))
    first = last = await completed()
    deadline = time.monotonic() + patience
    while last == first and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        last = await completed()
    begun.set()
    started, base = time.perf_counter(), last
    during = asyncio.create_task(pauses(address, over))
    while first - last < tasks and time.monotonic() < deadline:
        await asyncio.sleep(1)
        last = await completed()
    seconds = time.perf_counter() - started
    over.set()
    connection.close()
    return (base - last) / seconds, await before, await during


def prune(report: Report, path: Path, sizes: Sizes) -> None:
    """Have a fifth of the past go, while others create and claim."""
    size = path.stat().st_size
    tasks = round(_PRUNED * sizes.finished)
    variables = {"APP_TASK_RETENTION_DAYS": str(2 * (1 - _PRUNED)), "APP_TASK_TASK_CLEANUP_INTERVAL": "5"}
    with servers.replica(path.parent, f"sqlite:///{path}", pinned=False, **variables) as (address, _):
        rate, before, during = run(watched(address, tasks, 3600))
        deadline, smallest = time.monotonic() + 600, path.stat().st_size
        while time.monotonic() < deadline:
            time.sleep(5)
            if path.stat().st_size == smallest:
                break
            smallest = path.stat().st_size
    report.bound("pruning, tasks a second", rate, "/s")
    report.bound("longest pause of others without it", max(before), " ms")
    report.bound("longest pause of others while it prunes", max(during), " ms", most=MOST_PAUSE_MS)
    p99 = sorted(during)[int(len(during) * 0.99)]
    report.say(f"While it prunes a single create or claim takes {median(during):.1f} ms (median), {p99:.1f} ms (p99);")
    report.say(
        f"before {median(before):.1f} ms. {tasks:,} tasks went; the file of {size / 1e6:,.0f} MB has {smallest / 1e6:,.0f}."
    )


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - all parts are called alike
    sizes = SMALL if small else Sizes()
    report.say(f"{sizes.waiting:,} waiting and {sizes.finished:,} finished tasks in {sizes.directories:,} directories")
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name:
        path, other = Path(name) / "full" / "tasks.db", Path(name) / "empty"
        other.mkdir()
        started = time.monotonic()
        bulk.fill(path, waiting=sizes.waiting, finished=sizes.finished, directories=sizes.directories)
        report.say(f"made in {time.monotonic() - started:.0f} s, {path.stat().st_size / 1e6:,.0f} MB")
        with servers.apart(), servers.orchestrator(path.parent) as full, servers.orchestrator(other) as empty:
            _speeds(report, run(in_turn(full, empty, sizes)))
            _reads(report, run(reads(full, sizes)))
        seconds, megabytes = start_with_full_log(path)
        report.bound(f"first answer after kill -9 with {megabytes:,.0f} MB of log", seconds, " s", most=MOST_START_S)
        prune(report, path, sizes)


def _speeds(report: Report, found: dict[str, dict[str, list[Result]]]) -> None:
    for name, results in found.items():
        full, empty = ([one.rate for one in results[which]] for which in ("full", "empty"))
        least = LEAST if name in {"create", "claim"} else None
        report.compare(name, median(full), "empty database", median(empty), ratio=ratio(full, empty), least=least)
    rows = [
        [name, which, *(median(getattr(one, what) for one in results) for what in ("rate", "p50", "p99"))]
        for name, both in found.items()
        for which, results in both.items()
    ]
    report.table(f"{CONNECTIONS} connections, medians", ["operation", "database", "per second", "p50 ms", "p99 ms"], rows)


def _reads(report: Report, found: dict[str, Result]) -> None:
    for name, result in found.items():
        report.bound(f"{name}, p99", result.p99, " ms", most=MOST_READ_MS)
    report.table("Reads, one connection", ["read", "p50 ms", "p99 ms"], [[name, one.p50, one.p99] for name, one in found.items()])
