"""`make bench`: a bare server and ours, in one run, on separate cores where there are two."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import servers
from benchmarks.traffic import Request, Result, connect, drive

T = TypeVar("T")
Results = dict[tuple[str, int], Result]

DIRECTORY = "/bench/repository"
WARM_UP = 500
TASK = msgspec.json.encode(
    {"work_directory": DIRECTORY, "prompt": "Make the tests pass.", "priority": "normal", "tags": ["bench"]}
)
CREATE = Request.build("POST", "/api/v1/tasks", TASK)


async def measure_bare(address: tuple[str, int], counts: dict[int, int]) -> Results:
    results: Results = {}
    for connections, count in counts.items():
        pool = await connect(address, connections)
        await drive(pool, [Request.build("POST", "/echo", TASK)] * WARM_UP)
        results["bare echo", connections] = await drive(pool, [Request.build("POST", "/echo", TASK)] * count)
        for connection in pool:
            connection.close()
    return results


async def measure_ours(address: tuple[str, int], counts: dict[int, int]) -> Results:
    results: Results = {}
    for connections, count in counts.items():
        await one_round(address, connections, WARM_UP)
        results |= await one_round(address, connections, count)
    return results


async def one_round(address: tuple[str, int], connections: int, count: int) -> Results:
    """Create, claim and complete as many tasks, each step on its own."""
    pool = await connect(address, connections)
    leases: list[tuple[int, str]] = []

    def claimed(body: bytes) -> None:
        task: dict[str, Any] = msgspec.json.decode(body)["data"]
        leases.append((task["id"], task["lease"]))

    results = {("create", connections): await drive(pool, [CREATE] * count)}
    path = f"/api/v1/tasks/next?work_path={DIRECTORY}&wait=0&worker_id="
    claims = [Request.build("GET", f"{path}bench-{n % connections}") for n in range(count)]
    results["claim", connections] = await drive(pool, claims, claimed)
    completes = [
        Request.build("POST", f"/api/v1/tasks/{task}/complete", msgspec.json.encode({"lease": lease, "result": {"ok": True}}))
        for task, lease in leases
    ]
    results["complete", connections] = await drive(pool, completes)
    for connection in pool:
        connection.close()
    return results


async def measure_wakes(address: tuple[str, int], count: int) -> list[float]:
    """Milliseconds from sending a create to the answer of a poll that was parked before."""
    poller, creator = await connect(address, 2)
    times: list[float] = []
    for n in range(count):
        directory = f"/bench/wake/{n}"
        poll = asyncio.create_task(
            poller.send(Request.build("GET", f"/api/v1/tasks/next?work_path={directory}&wait=30&worker_id=wake"))
        )
        # The answer to a later request shows that the poll was taken before it.
        await creator.send(Request.build("GET", "/health/live"))
        body = msgspec.json.encode({"work_directory": directory, "prompt": "wake"})
        started = time.perf_counter()
        _, answer = await asyncio.gather(creator.send(Request.build("POST", "/api/v1/tasks", body)), poll)
        times.append(1000 * (time.perf_counter() - started))
        if msgspec.json.decode(answer)["data"] is None:
            raise SystemExit("a parked poll was answered without the task that was created for it")
    poller.close()
    creator.close()
    return times


def run(measured: Coroutine[Any, Any, T]) -> T:
    """On uvloop, as the client must not be what is slow."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measured)


def fdatasync(directory: Path, count: int = 200) -> float:
    """Median milliseconds to write 4 KiB and sync them, on the disk of the database."""
    times = []
    sync = getattr(os, "fdatasync", os.fsync)
    with (directory / "sync").open("wb", buffering=0) as file:
        for _ in range(count):
            started = time.perf_counter()
            file.write(b"\0" * 4096)
            sync(file.fileno())
            times.append(1000 * (time.perf_counter() - started))
    return median(times)


def table(results: Results) -> Table:
    shown = Table(title="Durable operations over HTTP, one server process", title_justify="left")
    for name in ("operation", "at once", "per second", "of bare", "p50 ms", "p99 ms", "client"):
        shown.add_column(name, justify="left" if name == "operation" else "right")
    for (name, connections), result in sorted(results.items(), key=lambda item: item[0][1]):
        ratio = result.rate / results["bare echo", connections].rate
        times = f"{result.p50:.2f}", f"{result.p99:.2f}"
        shown.add_row(name, str(connections), f"{result.rate:,.0f}", f"{ratio:.2f}", *times, f"{result.busy:.0%}")
    return shown


def missed(results: Results, connections: int, ratio: float, p99: float) -> list[str]:
    """What is slower than was asked for."""
    floor = ratio * results["bare echo", connections].rate
    ours = {name: results[name, connections] for name in ("create", "claim", "complete")}
    slow = [f"{name}: {result.rate:,.0f}/s is under {floor:,.0f}/s" for name, result in ours.items() if result.rate < floor]
    return slow + [f"{name}: p99 {result.p99:.1f} ms is over {p99} ms" for name, result in ours.items() if result.p99 > p99]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--count", type=int, default=10_000, help="operations at 64 connections; a fifth of them at 1")
    parser.add_argument(
        "--ratio", type=float, default=0.0, help="fail when an operation is slower than this part of bare Litestar"
    )
    parser.add_argument("--p99", type=float, default=float("inf"), help="fail when a p99 at 64 connections is over these ms")
    options = parser.parse_args()
    counts = {1: max(options.count // 5, 100), 64: options.count}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, servers.cores()[1])
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name:
        directory = Path(name)
        with servers.bare(directory) as address:
            results = run(measure_bare(address, counts))
        with servers.orchestrator(directory) as address:
            results |= run(measure_ours(address, counts))
            wakes = run(measure_wakes(address, 200))
        # Before and after, and the faster counts: a machine that others use, too, must not flatter us.
        with servers.bare(directory) as address:
            again = run(measure_bare(address, counts))
        results |= {key: result for key, result in again.items() if result.rate > results[key].rate}
        synced = fdatasync(directory)
    console = Console()
    console.print(table(results))
    console.print(f"A parked poll gets a new task in {median(wakes):.2f} ms (median); one fdatasync takes {synced:.2f} ms.")
    slow = missed(results, 64, options.ratio, options.p99)
    for line in slow:
        console.print(f"[red]{line}")
    return 1 if slow else 0


sys.exit(main())
