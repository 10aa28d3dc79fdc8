"""`make bench`: a bare server and ours, in one run, on separate cores where there are two."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks import doors, servers
from benchmarks.machine import fdatasync
from benchmarks.traffic import Request, Result, connect, drive, run


class Compared(Struct, frozen=True):
    """A measured step, and its rate as a part of the bare server's just before and after."""

    result: Result
    of_bare: float


Rounds = list[Compared]

DIRECTORY = "/bench/repository"
WARM_UP = 500
TASK = msgspec.json.encode(
    {"work_directory": DIRECTORY, "prompt": "Make the tests pass.", "priority": "normal", "tags": ["bench"]}
)
CREATE = Request.build("POST", "/api/v1/tasks", TASK)


ECHO = Request.build("POST", "/echo", TASK)
CONNECTIONS = (1, 64)


async def measure(bare: tuple[str, int], ours: tuple[str, int], count: int, rounds: int) -> dict[tuple[str, int], Rounds]:
    """Both servers in turn, step by step: what else the machine does at a moment slows them down alike."""
    results: dict[tuple[str, int], Rounds] = {}
    for connections in CONNECTIONS:
        each = max(count // rounds // (1 if connections > 1 else 5), 20)
        await one_round(bare, ours, connections, WARM_UP)
        for _ in range(rounds):
            for name, result in (await one_round(bare, ours, connections, each)).items():
                results.setdefault((name, connections), []).append(result)
    return results


async def one_round(bare: tuple[str, int], ours: tuple[str, int], connections: int, count: int) -> dict[str, Compared]:
    """Create, claim and complete as many tasks, each step between two of the bare server's."""
    pool, echoing = await connect(ours, connections), await connect(bare, connections)
    leases: list[tuple[int, str]] = []

    def claimed(body: bytes) -> None:
        task: dict[str, Any] = msgspec.json.decode(body)["data"]
        leases.append((task["id"], task["lease"]))

    async def echoed() -> Result:
        return await drive(echoing, [ECHO] * count)

    path = f"/api/v1/tasks/next?work_path={DIRECTORY}&wait=0&worker_id="
    before = await echoed()
    results = {"bare echo": Compared(before, 1.0)}
    for name in ("create", "claim", "complete"):
        if name == "create":
            result = await drive(pool, [CREATE] * count)
        elif name == "claim":
            asks = [Request.build("GET", f"{path}bench-{n % connections}") for n in range(count)]
            result = await drive(pool, asks, claimed)
        else:
            bodies = [(task, msgspec.json.encode({"lease": lease, "result": {"ok": True}})) for task, lease in leases]
            result = await drive(pool, [Request.build("POST", f"/api/v1/tasks/{task}/complete", body) for task, body in bodies])
        after = await echoed()
        results[name] = Compared(result, result.rate / mean((before.rate, after.rate)))
        before = after
    for connection in (*pool, *echoing):
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


def middle(rounds: Rounds) -> tuple[float, float, float, float, float]:
    """Medians over the rounds: rate, part of the bare rate, p50, p99, and how busy the client was."""
    results = [one.result for one in rounds]
    return (
        median(result.rate for result in results),
        median(one.of_bare for one in rounds),
        median(result.p50 for result in results),
        median(result.p99 for result in results),
        median(result.busy for result in results),
    )


def table(results: dict[tuple[str, int], Rounds]) -> Table:
    shown = Table(title="Durable operations over HTTP, one server process", title_justify="left")
    for name in ("operation", "at once", "per second", "of bare", "p50 ms", "p99 ms", "client"):
        shown.add_column(name, justify="left" if name == "operation" else "right")
    for (name, connections), rounds in results.items():
        rate, of_bare, p50, p99, busy = middle(rounds)
        shown.add_row(name, str(connections), f"{rate:,.0f}", f"{of_bare:.2f}", f"{p50:.2f}", f"{p99:.2f}", f"{busy:.0%}")
    return shown


def missed(results: dict[tuple[str, int], Rounds], ratio: float, most: float) -> list[str]:
    """What is slower than was asked for."""
    slow = []
    for name in ("create", "claim", "complete"):
        _, of_bare, _, p99, _ = middle(results[name, CONNECTIONS[-1]])
        if of_bare < ratio:
            slow.append(f"{name}: {of_bare:.2f} of the bare rate is under {ratio}")
        if p99 > most:
            slow.append(f"{name}: p99 {p99:.1f} ms is over {most} ms")
    return slow


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("what", nargs="?", choices=("bare", "doors"), default="bare", help="doors: with keys against open")
    parser.add_argument("--count", type=int, default=12_000, help="operations at 64 connections; a fifth of them at 1")
    parser.add_argument("--rounds", type=int, default=6, help="the medians of so many rounds count")
    parser.add_argument(
        "--ratio", type=float, default=0.0, help="fail when an operation is slower than this part of bare Litestar, or open"
    )
    parser.add_argument("--p99", type=float, default=float("inf"), help="fail when a p99 at 64 connections is over these ms")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, servers.cores()[1])
    if options.what == "doors":
        return doors.main(options.count, options.rounds, options.ratio)
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name:
        directory = Path(name)
        with servers.bare(directory) as bare, servers.orchestrator(directory) as ours:
            results = run(measure(bare, ours, options.count, options.rounds))
            wakes = run(measure_wakes(ours, 200))
        synced = fdatasync(directory)
    console = Console()
    console.print(table(results))
    console.print(f"A parked poll gets a new task in {median(wakes):.2f} ms (median); one fdatasync takes {synced:.2f} ms.")
    slow = missed(results, options.ratio, options.p99)
    for line in slow:
        console.print(f"[red]{line}")
    return 1 if slow else 0


sys.exit(main())
