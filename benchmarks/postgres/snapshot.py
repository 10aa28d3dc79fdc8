"""What an old snapshot costs that somebody else holds open: while it is, nothing that was there can be cleaned away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from statistics import median
from typing import Any

import psycopg
from msgspec import Struct

from benchmarks.postgres import tables
from benchmarks.postgres.cluster import Cluster, run
from benchmarks.postgres.direct import Direct, direct
from benchmarks.report import Report


class Churn(Struct, frozen=True):
    """So many tasks through create, claim, complete; `at_once` of each in a transaction, each in another directory if it can."""

    name: str
    tasks: int
    directories: int
    at_once: int
    checkpoints: int
    sample: int


@contextmanager
def held(url: str) -> Iterator[None]:
    """A snapshot of now, held by a session that does nothing else."""
    with psycopg.connect(url) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM events")
        yield


class Speed(Struct, frozen=True):
    """Milliseconds of a single life, and its speed and that of its steps as parts of those in the other database."""

    milliseconds: float
    life: float
    steps: tuple[float, float, float]


async def _speed(pinned: Direct, control: Direct, paths: list[str]) -> Speed:
    """Life by life in turn, here and in the other database."""
    seconds: dict[Direct, list[tuple[float, float, float]]] = {pinned: [], control: []}
    for at, path in enumerate(paths):
        for store in (pinned, control) if at % 2 else (control, pinned):
            seconds[store].append(await store.life(path))
    (create, claim, complete), whole = (
        [
            median(there) / median(here)
            for there, here in zip(*(zip(*seconds[store], strict=True) for store in (control, pinned)), strict=True)
        ],
        {store: median(map(sum, lives)) for store, lives in seconds.items()},
    )
    return Speed(1000 * whole[pinned], whole[control] / whole[pinned], (create, claim, complete))


async def churn_through(store: Direct, churn: Churn, first: int, count: int) -> None:
    """The tasks of such numbers."""
    for at in range(first, first + count, churn.at_once):
        paths = [f"/churn/{n % churn.directories}" for n in range(at, min(at + churn.at_once, first + count))]
        await store.create(paths)
        grants = await store.claim(paths)
        if len(grants) != len(paths):
            raise SystemExit(f"{len(grants)} of {len(paths)} tasks were to be had")
        await store.complete(grants)


async def _under(cluster: Cluster, report: Report, churn: Churn, urls: dict[str, str]) -> dict[str, list[float]]:
    """Speeds of a life and of its claim beside a database without the snapshot: at the beginning, then and when, without it."""
    chance, part = Random(7), churn.tasks // churn.checkpoints
    found: list[Speed] = []
    rows: list[list[Any]] = []
    async with direct(urls["pinned"]) as pinned, direct(urls["control"]) as control:

        async def look(when: str) -> None:
            paths = [f"/churn/{chance.randrange(churn.directories)}" for _ in range(churn.sample)]
            speed = await _speed(pinned, control, paths)
            found.append(speed)
            dead = tables.dead(cluster, urls["pinned"])
            rows.append([when, speed.milliseconds, speed.life, *speed.steps, dead, _seconds(started)])

        started = time.monotonic()
        await pinned.lifecycles(["/churn/0"] * 5)
        await control.lifecycles(["/churn/0"] * 5)
        with held(urls["pinned"]):
            await look("at the beginning")
            for at in range(churn.checkpoints):
                await churn_through(pinned, churn, at * part, part)
                await look(f"after {(at + 1) * part:,}")
            tables.show(cluster, report, f"{churn.name}: tables while the snapshot is held", urls["pinned"])
        await tables.vacuumed(cluster, report, urls["pinned"])
        await look("snapshot gone")
        tables.show(cluster, report, f"{churn.name}: tables after it is gone", urls["pinned"])
    report.table(
        f"{churn.name}: single lives under a held snapshot, and their speed beside a database without one",
        ["when", "ms a life", "life", "create", "claim", "complete", "dead rows", "seconds"],
        rows,
    )
    return {
        "life": [speed.life / found[0].life for speed in found],
        "claim": [speed.steps[1] / found[0].steps[1] for speed in found],
    }


def _seconds(since: float) -> int:
    return round(time.monotonic() - since)


def measure(cluster: Cluster, report: Report, churns: list[Churn]) -> list[float]:
    """What is left of the speed of a claim at the end, for each."""
    left = []
    for churn in churns:
        urls = {"pinned": cluster.database("bench_pinned"), "control": cluster.database("bench_control")}
        speeds = run(_under(cluster, report, churn, urls))
        report.keep(**{churn.name: speeds})
        left.append(speeds["claim"][-2])
    return left
