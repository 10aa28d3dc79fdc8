"""Three servers on one PostgreSQL, killed, stopped for longer than a lease and cut off from it, under load: the promises hold."""

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import postgres
from tests.chaos.fleet import LEASE_S, Clients, Replica
from tests.properties.replicas import LEASED_ROWS

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SECONDS = float(os.environ.get("APP_TEST_CHAOS_SECONDS", "40"))
CREATORS = 8
WORKERS = 40
STOPPED_S = LEASE_S + 2
PAUSE_S = 5
RACE_S = float(os.environ.get("APP_TEST_RACE_SECONDS", "15"))
RACERS = 8
PATHS = [*(f"/load/{one}" for one in "abcdefghijkl"), *(f"/load/{one}/{other}" for one in "abcdefghijkl" for other in "xy")]


class Faults:
    """What is done to the servers, one thing after the other; `quiet`: since when all that was down is back."""

    def __init__(self, database: postgres.Postgres, replicas: list[Replica]) -> None:
        self.database = database
        self.replicas = replicas
        self.chance = random.Random(1)
        self.done: list[str] = []
        self.away: list[tuple[float, float]] = []
        self._still: set[Replica] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def _one(self) -> Replica:
        return self.chance.choice([one for one in self.replicas if one not in self._still])

    async def kill(self) -> None:
        replica = self._one()
        replica.kill()
        await asyncio.sleep(0.5)
        await replica.start()

    async def stop(self) -> None:
        """It stands still, in the middle of whatever it does; the others go on, and other things happen to them meanwhile."""
        if self._still:
            return
        replica = self._one()
        self._still.add(replica)
        replica.signal(signal.SIGSTOP)
        self._tasks.append(asyncio.create_task(self._go_on(replica)))

    async def _go_on(self, replica: Replica) -> None:
        await asyncio.sleep(STOPPED_S)
        replica.signal(signal.SIGCONT)
        self._still.discard(replica)

    async def restart(self, how: signal.Signals) -> None:
        """The database goes, in order or in a crash, and comes back after a second."""
        began = time.monotonic()
        await asyncio.to_thread(self.database.stop, how)
        await asyncio.sleep(1)
        await asyncio.to_thread(self.database.start)
        self.away.append((began, time.monotonic()))

    async def run(self) -> None:
        end = time.monotonic() + SECONDS
        restarts = [(end - SECONDS * 2 / 3, signal.SIGINT), (end - SECONDS / 3, signal.SIGQUIT)]
        ordinary: list[Callable[[], Awaitable[None]]] = [self.stop, self.kill]
        while time.monotonic() < end:
            if restarts and time.monotonic() > restarts[0][0]:
                how = restarts.pop(0)[1]
                self.done.append(how.name)
                await self.restart(how)
            else:
                fault = ordinary[len(self.done) % 2]
                self.done.append(fault.__name__)
                await fault()
            await asyncio.sleep(self.chance.uniform(1, 3))
        await asyncio.gather(*self._tasks)


def pauses(moments: list[float], away: list[tuple[float, float]]) -> list[float]:
    """How long nothing was completed; the time in which there was no database does not count."""
    return [
        after - before - sum(max(0.0, min(after, end) - max(before, began)) for began, end in away)
        for before, after in pairwise(moments)
    ]


@pytest.fixture
def database() -> Iterator[postgres.Postgres]:
    """A server that is as safe as one in use; in memory, so that this tests no disk."""
    memory = "/dev/shm"  # noqa: S108 - a file system, not a file
    with (
        tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder,
        postgres.own_server(Path(folder)) as server,
    ):
        yield server


async def test_killed_stopped_and_cut_off_under_load(tmp_path: Path, database: postgres.Postgres) -> None:
    replicas = [Replica(tmp_path, database.url()) for _ in range(3)]
    clients = Clients(replicas, PATHS)
    faults = Faults(database, replicas)
    seen: list[int] = []
    try:
        for replica in replicas:
            await replica.start()
        begun = asyncio.Event()
        reader = asyncio.create_task(clients.follow(seen, begun))
        await asyncio.wait_for(begun.wait(), 20)
        async with asyncio.TaskGroup() as group:
            for number in range(CREATORS):
                group.create_task(clients.create(f"client{number}"))
            for number in range(WORKERS):
                group.create_task(clients.work(f"worker{number}"))
            started = time.monotonic()
            await faults.run()
            ended = time.monotonic()
            clients.creating = False
            async with clients._moved:
                clients._moved.notify_all()
        with psycopg.connect(database.url(), autocommit=True) as connection:
            events = [number for (number,) in connection.execute("SELECT id FROM events ORDER BY id")]
            async with asyncio.timeout(20):
                while len(seen) < len(events) and not reader.done():  # noqa: ASYNC110 - the reader has no event for it
                    await asyncio.sleep(0.05)
            reader.cancel()
            await asyncio.wait([reader])
            assert reader.cancelled(), reader.exception()
            check(connection, clients)
            deadlocks = connection.execute("SELECT sum(deadlocks) FROM pg_stat_database").fetchone()
    finally:
        await clients.close()
        for replica in replicas:
            replica.close()
    longest = max(pauses([started, *(at for at in clients.progress if started < at < ended), ended], faults.away))
    sys.stderr.write(
        f"{len(clients.created)} tasks, {clients.claims} claims, {clients.refused_stale} stale completions refused, "
        f"faults {faults.done}, longest pause {longest:.2f} s, answers {dict(clients.answers)}, "
        f"broken off {dict(clients.errors)}, deadlocks {deadlocks}\n"
    )
    assert set(clients.answers) <= {200, 201, 409, 503}
    assert seen == events, "an event was missed, or seen twice"
    assert {"kill", "stop", "SIGINT", "SIGQUIT"} <= set(faults.done)
    assert longest < PAUSE_S


async def test_racers_for_nested_directories_never_overlap(tmp_path: Path, database: postgres.Postgres) -> None:
    nested = ["/load", *(f"/load/{a}" for a in "abcdefg"), *(f"/load/{a}/{b}" for a in "abcdefg" for b in "uvwxyz")]
    assert len(nested) == 50
    replicas = [Replica(tmp_path, database.url()) for _ in range(3)]
    clients = Clients(replicas, nested)
    clients.forgets, clients.works = 0, 1
    try:
        for replica in replicas:
            await replica.start()
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(clients.create(f"client{number}"))
            for number in range(RACERS):
                group.create_task(clients.work(f"racer{number}"))
            await asyncio.sleep(RACE_S)
            clients.creating = False
            async with clients._moved:
                clients._moved.notify_all()
        with psycopg.connect(database.url(), autocommit=True) as connection:
            check(connection, clients)
            deadlocks = connection.execute("SELECT sum(deadlocks) FROM pg_stat_database").fetchone()
    finally:
        await clients.close()
        for replica in replicas:
            replica.close()
    sys.stderr.write(f"{clients.claims} leases raced, {deadlocks} deadlocks, answers {dict(clients.answers)}\n")
    assert set(clients.answers) <= {200, 201}
    assert clients.claims > RACE_S


def check(connection: "psycopg.Connection[tuple[Any, ...]]", clients: Clients) -> None:
    """Nothing that was acknowledged is lost, and nothing took place twice."""
    keys = dict(connection.execute("SELECT t.id, k.key FROM tasks t JOIN task_keys k ON k.task_id = t.id").fetchall())
    assert keys == clients.created
    statuses = connection.execute("SELECT status, count(*) FROM tasks GROUP BY 1").fetchall()
    assert statuses == [("completed", len(clients.created))]
    done = connection.execute("SELECT task_id, lease_no FROM attempts WHERE outcome = 'completed' ORDER BY 1").fetchall()
    assert done == [(task_id, int(lease.split(".")[1])) for task_id, lease in sorted(clients.completed.items())]
    assert connection.execute("SELECT count(*) FROM dependencies WHERE satisfied = 0").fetchone() == (0,)
    assert connection.execute(LEASED_ROWS.encode()).fetchall() == []
    counted = connection.execute("SELECT status, sum(n) FROM task_counts WHERE n > 0 GROUP BY 1").fetchall()
    assert counted == [("completed", len(clients.created))]
