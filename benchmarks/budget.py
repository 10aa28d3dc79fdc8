"""`make bench-budget`: what operations cost in processor time, beside a bare server and plain SQL; fails when it is too much.

Processor time, as it hardly minds what else the machine does; ratios, as it does mind which machine it is.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from pathlib import Path

from benchmarks import batches, machine, plain, servers
from benchmarks.asker import STEPS, Asker, Echo
from benchmarks.report import console, drawn
from benchmarks.traffic import connect, run

FLOORS = Path(__file__).with_name("budget.toml")
CONNECTIONS = 64
ECHO = "echo"

Address = tuple[str, int]
Seconds = dict[str, float]


async def single(bare: Address, ours: Address, pids: dict[str, int], count: int, rounds: int) -> Seconds:
    """Of each server for its operations, in turn; a round before the first counts for nothing."""
    asker, echo = Asker("ours", await connect(ours, CONNECTIONS)), Echo(await connect(bare, CONNECTIONS))
    used: defaultdict[str, float] = defaultdict(float)
    for number in range(-1, rounds):
        for name in (ECHO, *STEPS):
            pid = pids[ECHO if name == ECHO else "ours"]
            before = machine.cpu_seconds([pid])
            await (echo.step(count) if name == ECHO else asker.step(name, count))
            if number >= 0:
                used[name] += machine.cpu_seconds([pid]) - before
    asker.close()
    echo.close()
    return used


def lives(database: plain.Plain, ours: Address, pid: int, count: int, rounds: int) -> tuple[float, float]:
    """Of plain SQL, and of our server."""
    theirs = used = 0.0
    for number in range(-1, rounds):
        before, started = machine.cpu_seconds([pid]), time.process_time()
        batches.in_process(database, count)
        middle = time.process_time()
        run(batches.over_http(ours, 4, count))
        if number >= 0:
            theirs += middle - started
            used += machine.cpu_seconds([pid]) - before
    return theirs, used


def measured(count: int, rounds: int) -> dict[str, dict[str, float]]:
    """The figures, as the floors are written."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name:
        directory = Path(name)
        database = plain.Plain(directory / "plain.db")
        url = f"sqlite:///{directory / 'tasks.db'}"
        with servers.bare(directory, pinned=False) as (bare, bare_pid), servers.replica(directory, url) as (ours, pid):
            used = asyncio.run(single(bare, ours, {ECHO: bare_pid, "ours": pid}, count, rounds))
            theirs, life = lives(database, ours, pid, count // 100, rounds)
        database.close()
    return {"single": {step: used[ECHO] / used[step] for step in STEPS}, "batches": {"life": theirs / life}}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-budget")
    parser.add_argument("--count", type=int, default=1_500, help="operations a round")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    floors: dict[str, dict[str, float]] = tomllib.loads(FLOORS.read_text())
    found = measured(options.count, options.rounds)
    rows = [
        [f"{part}, {name}", f"{found[part][name]:.2f}", f"{floor:.2f}", "yes" if found[part][name] >= floor else "NO"]
        for part, of in floors.items()
        for name, floor in of.items()
    ]
    console.print(drawn("Processor time, theirs / ours", ["operation", "measured", "floor", "held"], rows))
    if any(row[-1] == "NO" for row in rows):
        console.print(f"Ours got slower. Find out why (make bench ARGS=single); a floor is in {FLOORS}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
