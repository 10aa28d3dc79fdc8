"""`make bench-schedules`: 100,000 schedules, of which nothing is due; and then 5,000 in the same second. Both stores."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil
import psycopg
from msgspec import Struct

from benchmarks import machine, servers
from benchmarks.postgres.cluster import cluster, run
from benchmarks.report import HEADS, Report, console, drawn
from orchestrator.domain.operations import Submission
from orchestrator.domain.principal import OPEN
from orchestrator.domain.rules import Rules
from orchestrator.domain.schedule_operations import AddSchedule
from orchestrator.settings import Database
from orchestrator.store.choice import store
from orchestrator.store.sqlite.engine import sqlite3
from orchestrator.store.sqlite.migrate import migrate
from worker_client.contract.schedules import CreateSchedule
from worker_client.contract.tasks import CreateTask

MOST_IDLE_CPU: Final = 1.0
"""Percent of a core."""
MOST_QUEUED_S: Final = 2.0
_BATCH: Final = 500
_LEAD_S: Final = 20
"""From the last schedule that is saved to the second in which they are due: time for the server to start."""
_COUNT: Final = "SELECT count(*) FROM tasks"
_LATENCIES: Final = "SELECT count(DISTINCT decided_at), max(decided_at) - min(due_at) FROM fires"


class Sizes(Struct, frozen=True):
    """How many schedules there are, how many of them are due together, and how long the idle server is watched."""

    count: int = 100_000
    due: int = 5_000
    idle_s: float = 60


SMALL: Final = Sizes(count=2_000, due=200, idle_s=5)


def _schedule(name: str, cron: str, number: int) -> AddSchedule:
    task = CreateTask(work_directory=f"/bench/{number % 1000}", prompt="Make the tests pass.")
    return AddSchedule(body=CreateSchedule(name=name, cron=cron, task=task))


async def save(url: str, schedules: Iterator[AddSchedule]) -> None:
    """Save schedules as the server does, without one."""
    opened = store(Database(url=url))
    await opened.open()
    batch: list[Submission] = []
    for one in schedules:
        batch.append(Submission(one, OPEN))
        if len(batch) == _BATCH:
            await opened.commit(batch, Rules())
            batch = []
    await opened.commit(batch, Rules())
    await opened.close()


def _idle(report: Report, name: str, url: str, directory: Path, sizes: Sizes) -> None:
    """Save all, each due once a year in months to come, and watch a server that has nothing to do."""
    month = (datetime.now(UTC).month + 5) % 12 + 1
    started = time.monotonic()
    run(save(url, (_schedule(f"job {number}", f"H H H {month} *", number) for number in range(sizes.count - sizes.due))))
    report.say(f"{name}: {sizes.count - sizes.due:,} schedules saved in {time.monotonic() - started:.0f} s")
    with servers.replica(directory, url) as (_, pid):
        time.sleep(5)
        used, started = machine.cpu_seconds([pid]), time.monotonic()
        time.sleep(sizes.idle_s)
        part = 100 * (machine.cpu_seconds([pid]) - used) / (time.monotonic() - started)
        megabytes = psutil.Process(pid).memory_info().rss / 1e6
    report.bound(f"{name}, {sizes.count:,} schedules, idle", part, " % of a core", most=MOST_IDLE_CPU)
    report.say(f"{name}: the idle server has {megabytes:.0f} MB")


def _together(report: Report, name: str, url: str, directory: Path, sizes: Sizes, ask: Callable[[str], tuple[int, ...]]) -> None:
    """Save some that are due in the same second, and see how long after that all of their tasks are queued."""
    second = int(time.time()) + _LEAD_S + sizes.due // 500
    cron = f"{datetime.fromtimestamp(second, UTC):%S %M %H} * * *"
    run(save(url, (_schedule(f"together {number}", cron, number) for number in range(sizes.due))))
    with servers.apart(), servers.replica(directory, url, pinned=True) as (_, pid):
        if time.time() > second - 1:
            raise SystemExit("the server was not up in time")
        time.sleep(second - time.time())
        used, found = machine.cpu_seconds([pid]), 0
        while found < sizes.due and time.time() < second + 60:
            (found,) = ask(_COUNT)
            time.sleep(0.02)
        seconds = time.time() - second
        used = machine.cpu_seconds([pid]) - used
    if found != sizes.due:
        raise SystemExit(f"{found} of {sizes.due} tasks were queued after a minute")
    transactions, last = ask(_LATENCIES)
    report.bound(f"{name}, {sizes.due:,} due together, until all are queued", seconds, " s", most=MOST_QUEUED_S)
    report.say(
        f"{name}: {transactions} transactions, the last one began {last} ms after the second; {used:.2f} s of processor time"
    )


def measure(report: Report, which: list[str], sizes: Sizes) -> None:
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as made:
        directory = Path(made)
        if "sqlite" in which:
            path = directory / "tasks.db"

            migrate(path)

            def ask(query: str) -> tuple[int, ...]:
                return tuple(file.execute(query).fetchone())

            with closing(sqlite3.connect(path)) as file:
                _both(report, "SQLite", f"sqlite:///{path}", directory, sizes, ask)
        if "postgres" in which:
            with cluster(None, None) as server:
                url = server.database("schedules")

                def look(query: str) -> tuple[int, ...]:
                    return tuple(connection.execute(query.encode()).fetchone() or ())

                with psycopg.connect(url, autocommit=True) as connection:
                    _both(report, "PostgreSQL", url, directory, sizes, look)


def _both(report: Report, name: str, url: str, directory: Path, sizes: Sizes, ask: Callable[[str], tuple[int, ...]]) -> None:
    _idle(report, name, url, directory, sizes)
    _together(report, name, url, directory, sizes, ask)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-schedules")
    parser.add_argument("--store", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--small", action="store_true", help="a quick run, for whether it works")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    report = Report(loud=True)
    report.say(machine.described())
    measure(report, ["sqlite", "postgres"] if options.store == "both" else [options.store], SMALL if options.small else Sizes())
    console.print(drawn("Schedules", list(HEADS), [line.cells() for line in report.compared]))
    return 1 if any(line.held is False for line in report.compared) else 0


if __name__ == "__main__":
    sys.exit(main())
