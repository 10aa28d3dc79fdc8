"""What millions of tasks leave in tables and indexes under an old snapshot; nothing is pruned or vacuumed by hand."""

import asyncio
import time
from collections.abc import Callable
from random import Random
from statistics import median
from typing import Any, Final

from benchmarks.postgres import tables
from benchmarks.postgres.cluster import Cluster, run
from benchmarks.postgres.direct import Direct, direct
from benchmarks.postgres.snapshot import Churn, churn_through, held
from benchmarks.report import Report, ratio

TELL_S: Final = 15
FLUSH_S: Final = 1.1
"""A session adds what it did to the statistics with its next commit after a second."""

Tell = Callable[[int], None]


async def _claims(stores: list[Direct], paths: list[str]) -> list[list[float]]:
    """Seconds of a claim in each database, in turn: another task in each directory."""
    seconds: list[list[float]] = [[] for _ in stores]
    for at, path in enumerate(paths):
        for n in range(len(stores)) if at % 2 else reversed(range(len(stores))):
            store = stores[n]
            await store.create([path])
            grants = await store.claim([path])
            seconds[n].append(store.seconds)
            await store.complete(grants)
    return seconds


async def _through(store: Direct, churn: Churn, first: int, count: int, tell: Tell) -> None:
    told = time.monotonic()
    for at in range(first, first + count, churn.at_once):
        upto = min(at + churn.at_once, first + count)
        await churn_through(store, churn, at, upto - at)
        if time.monotonic() - told > TELL_S or upto == first + count:
            tell(upto)
            told = time.monotonic()


async def _bloated(cluster: Cluster, report: Report, churn: Churn, pinned: float, urls: dict[str, str]) -> None:
    chance, part, started = Random(7), round(churn.tasks * pinned), time.monotonic()
    last = [0, started]
    rows: list[list[Any]] = []
    progress: list[list[float]] = []

    def tell(done: int) -> None:
        now, gone = time.monotonic(), tables.dead(cluster, urls["bloated"])
        rate = (done - last[0]) / (now - last[1])
        print(f"  {done:,} of {churn.tasks:,} tasks, {rate:,.0f} a second, {gone:,} dead rows, {now - started:.0f} s", flush=True)
        progress.append([done, rate, gone, now - started])
        report.keep(progress=progress)
        last[:] = [done, now]

    async with direct(urls["bloated"]) as bloated, direct(urls["control"]) as control:

        async def look(when: str) -> None:
            paths = [f"/churn/{chance.randrange(churn.directories)}" for _ in range(churn.sample)]
            here, there = await _claims([bloated, control], paths)
            await _flushed([bloated, control])
            found = ratio(there, here)
            rows.append(
                [
                    when,
                    1000 * median(here),
                    1000 * median(there),
                    found,
                    found / rows[0][3] if rows else 1.0,
                    tables.dead(cluster, urls["bloated"]),
                ]
            )
            report.keep(claims=rows)
            tables.show(cluster, report, f"Tables {when}", urls["bloated"])

        for store in (bloated, control):
            await store.lifecycles(["/churn/0"] * 20)
        with held(urls["bloated"]):
            await look("at the beginning")
            await _through(bloated, churn, 0, part, tell)
            await look(f"after {part:,} tasks, snapshot still held")
        await tables.vacuumed(cluster, report, urls["bloated"])
        await look("after release and autovacuum")
        if part < churn.tasks:
            last[:] = [part, time.monotonic()]
            await _through(bloated, churn, part, churn.tasks - part, tell)
            await look(f"after {churn.tasks:,} tasks, the last {churn.tasks - part:,} without a snapshot")
    report.table(
        f"Single claims in {churn.directories:,} directories, medians of {churn.sample}",
        ["when", "ms", "ms in a database without", "speed / without", "of the beginning", "dead rows"],
        rows,
    )


async def _flushed(stores: list[Direct]) -> None:
    await asyncio.sleep(FLUSH_S)
    for store in stores:
        await store.lifecycles(["/churn/0"])
    await asyncio.sleep(0.1)


def measure(cluster: Cluster, report: Report, churn: Churn, pinned: float) -> None:
    """Under a snapshot that is held through `pinned` of the tasks."""
    urls = {"bloated": cluster.database("bench_bloated"), "control": cluster.database("bench_control")}
    run(_bloated(cluster, report, churn, pinned, urls))
