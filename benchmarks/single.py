"""Single durable operations over HTTP beside a bare Litestar that echoes the same JSON; each has one core, the client another."""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks import servers
from benchmarks.asker import STEPS, Asker, Echo
from benchmarks.machine import fdatasync
from benchmarks.report import Report
from benchmarks.traffic import Request, Result, connect, run


class Compared(Struct, frozen=True):
    """A measured step, and its rate as a part of the bare server's just before and after; `synced`: one fdatasync then, in ms."""

    result: Result
    of_bare: float
    synced: float = 0.0


Rounds = list[Compared]
Address = tuple[str, int]

WARM_UP = 500
BARE = "bare echo"
LEAST = {"create": 0.7, "claim": 0.7, "complete": 0.65}
"""Parts of the bare rate at MANY connections."""
MOST = 3.0
"""At one connection p50 may be so many times an echo and an fdatasync."""
MOST_P99_MS = 40.0
MANY = 64


async def one_round(asker: Asker, echo: Echo, count: int, directory: Path) -> dict[str, Compared]:
    """Create, claim and complete as many tasks, each step between two of the bare server's."""
    synced = fdatasync(directory, 20)
    before = await echo.step(count)
    results = {BARE: Compared(before, 1.0, synced)}
    for name in STEPS:
        result, after = await asker.step(name, count), await echo.step(count)
        results[name] = Compared(result, result.rate / mean((before.rate, after.rate)), synced)
        before = after
    return results


async def in_turn(bare: Address, ours: Address, directory: Path, connections: int, count: int, rounds: int) -> dict[str, Rounds]:
    """Both servers step by step: what else the machine does at a moment slows them down alike."""
    asker, echo = Asker("ours", await connect(ours, connections)), Echo(await connect(bare, connections))
    results: dict[str, Rounds] = {}
    await one_round(asker, echo, min(WARM_UP, count), directory)
    for _ in range(rounds):
        for name, result in (await one_round(asker, echo, count, directory)).items():
            results.setdefault(name, []).append(result)
    asker.close()
    echo.close()
    return results


async def wakes(address: Address, count: int) -> list[float]:
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


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - all parts are called alike
    count, rounds = (300, 2) if small else (2_000, 6)
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name, servers.apart():
        directory = Path(name)
        with servers.bare(directory) as (bare, _), servers.orchestrator(directory) as ours:
            many = run(in_turn(bare, ours, directory, MANY, count, rounds))
            alone = run(in_turn(bare, ours, directory, 1, count // 5, rounds))
            woken = median(run(wakes(ours, 20 if small else 200)))
    bare_rate = _median(many[BARE], "rate")
    for what, least in LEAST.items():
        of_bare = median(one.of_bare for one in many[what])
        report.compare(f"{what}, {MANY} connections", _median(many[what], "rate"), BARE, bare_rate, ratio=of_bare, least=least)
    for what in LEAST:
        report.bound(f"{what}, {MANY} connections, p99", _median(many[what], "p99"), " ms", most=MOST_P99_MS)
    for what in LEAST:
        floors = [bare.result.p50 + bare.synced for bare in alone[BARE]]
        times = median(one.result.p50 / floor for one, floor in zip(alone[what], floors, strict=True))
        report.compare(
            f"{what}, 1 connection, p50",
            _median(alone[what], "p50"),
            "echo + fdatasync",
            median(floors),
            unit=" ms",
            ratio=times,
            most=MOST,
        )
    report.bound("parked poll gets a new task", woken, " ms")
    heads = ["operation", "connections", "per second", "of bare", "p50 ms", "p99 ms", "client busy"]
    sides = ((MANY, many), (1, alone))
    report.table(f"Medians of {rounds} rounds", heads, [row for n, rounds in sides for row in _rows(n, rounds)])


def _rows(connections: int, results: dict[str, Rounds]) -> list[list[Any]]:
    return [
        [
            name,
            connections,
            _median(rounds, "rate"),
            median(one.of_bare for one in rounds),
            _median(rounds, "p50"),
            _median(rounds, "p99"),
            f"{_median(rounds, 'busy'):.0%}",
        ]
        for name, rounds in results.items()
    ]


def _median(rounds: Rounds, what: str) -> float:
    values: list[float] = [getattr(one.result, what) for one in rounds]
    return median(values)
