"""Claims where millions wait and millions are done, beside an empty database: in this process and over HTTP."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from random import Random
from statistics import median
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.lifecycle import add, finish, take
from benchmarks.postgres import bulk
from benchmarks.postgres.cluster import Cluster, run
from benchmarks.postgres.direct import Direct, direct
from benchmarks.report import Report, ratio
from benchmarks.servers import replica
from benchmarks.traffic import Connection, connect

AT_ONCE = 16
MANY = 100


class Sizes(Struct, frozen=True):
    """What is in the full database, and how much is measured."""

    waiting: int
    finished: int
    directories: int
    rounds: int


async def one(store: Direct, paths: list[str]) -> float:
    """Create a task in each directory, claim one in each, one by one; what a claim takes."""
    await store.create(paths)
    seconds, grants = [], []
    for path in paths:
        grants += await store.claim([path])
        seconds.append(store.seconds)
    await store.complete(grants)
    return median(seconds)


async def at_once(store: Direct, paths: list[str]) -> float:
    """Claims of 16 workers in one transaction."""
    await store.create(paths)
    grants = await store.claim(paths[:AT_ONCE])
    seconds = store.seconds
    await store.complete(grants)
    return seconds


async def many(store: Direct, paths: list[str]) -> float:
    """One claim of 100 tasks."""
    await store.create([paths[0]] * MANY)
    grants = await store.claim(paths[:1], limit=MANY)
    seconds = store.seconds
    await store.complete(grants)
    return seconds


async def below(store: Direct, paths: list[str]) -> float:
    """A claim of whatever is first in all the directories below one."""
    await store.create(paths)
    grants = await store.claim(["/bulk"], recursive=True)
    seconds = store.seconds
    await store.complete(grants)
    return seconds


async def whole(store: Direct, paths: list[str]) -> float:
    """Create, claim and complete, one by one."""
    return median([await store.lifecycles([path]) for path in paths])


OPERATIONS: dict[str, Callable[[Direct, list[str]], Awaitable[float]]] = {
    "claim": one,
    f"{AT_ONCE} claims at once": at_once,
    f"claim of {MANY}": many,
    "claim below all directories": below,
    "create, claim, complete": whole,
}


async def in_process(urls: dict[str, str], sizes: Sizes) -> dict[str, dict[str, list[float]]]:
    """Seconds by operation and database; both in turn, so that both meet the same machine."""
    found: dict[str, dict[str, list[float]]] = {name: {which: [] for which in urls} for name in OPERATIONS}
    chance = Random(7)
    async with direct(urls["empty"]) as empty, direct(urls["full"]) as full:
        stores = {"empty": empty, "full": full}
        for at in range(-1, sizes.rounds):
            paths = [f"/bulk/{n}" for n in chance.sample(range(sizes.directories), min(2 * AT_ONCE, sizes.directories))]
            for name, operation in OPERATIONS.items():
                for which in stores if at % 2 else reversed(stores):
                    seconds = await operation(stores[which], paths)
                    if at >= 0:
                        found[name][which].append(seconds)
    return found


async def over_http(address: tuple[str, int], paths: list[str], count: int) -> float:
    """Seconds that 16 workers need to take so many tasks, one by one."""
    connections = await connect(address, AT_ONCE)
    numbers, taken = iter(range(count)), iter(range(count))
    tasks: list[tuple[Connection, dict[str, Any]]] = []

    async def create(connection: Connection) -> None:
        for n in numbers:
            await add(connection, paths[n % len(paths)])

    async def claim(n: int, connection: Connection) -> None:
        for at in taken:
            task = await take(connection, f"bench-{n}", paths[at % len(paths)])
            if task is None:
                raise SystemExit(f"nothing was to be had in {paths[at % len(paths)]}")
            tasks.append((connection, task))

    await asyncio.gather(*map(create, connections))
    started = time.perf_counter()
    await asyncio.gather(*(claim(n, connection) for n, connection in enumerate(connections)))
    seconds = time.perf_counter() - started
    await asyncio.gather(*(_end([task for by, task in tasks if by is one], one) for one in connections))
    return seconds


async def _end(tasks: list[dict[str, Any]], connection: Connection) -> None:
    for task in tasks:
        await finish(connection, task)
    connection.close()


def _over_http(cluster: Cluster, urls: dict[str, str], sizes: Sizes) -> dict[str, list[float]]:
    """Seconds of a claim by database."""
    count = 10 * AT_ONCE
    paths = [f"/bulk/{n}" for n in range(min(AT_ONCE, sizes.directories))]
    seconds: dict[str, list[float]] = {which: [] for which in urls}
    with ExitStack() as stack:
        servers = {which: stack.enter_context(replica(cluster.directory, url))[0] for which, url in urls.items()}
        for at in range(-1, sizes.rounds):
            for which, address in servers.items():
                took = run(over_http(address, paths, count)) / count
                if at >= 0:
                    seconds[which].append(took)
    return seconds


def measure(cluster: Cluster, report: Report, sizes: Sizes) -> float:
    """The worst of the ratios that are promised."""
    urls = {"empty": cluster.database("bench_empty"), "full": cluster.database("bench_full")}
    report.say(f"{sizes.waiting:,} waiting and {sizes.finished:,} finished tasks in {sizes.directories:,} directories")
    started = time.monotonic()
    bulk.fill(urls["full"], waiting=sizes.waiting, finished=sizes.finished, directories=sizes.directories)
    ((size,),) = cluster.ask("SELECT pg_size_pretty(pg_database_size('bench_full'))")
    report.say(f"loaded in {time.monotonic() - started:.0f} s, {size}")
    found = run(in_process(urls, sizes))
    found["claims of 16 workers over HTTP"] = _over_http(cluster, urls, sizes)
    report.table(
        f"Milliseconds, medians of {sizes.rounds} rounds",
        ["operation", "empty", "full", "speed when full / when empty"],
        [
            [name, 1000 * median(of["empty"]), 1000 * median(of["full"]), ratio(of["empty"], of["full"])]
            for name, of in found.items()
        ],
    )
    report.keep(seconds_by_operation=msgspec.to_builtins(found))
    return min(ratio(of["empty"], of["full"]) for name, of in found.items() if "below" not in name)
