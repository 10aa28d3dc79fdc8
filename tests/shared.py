"""Several servers on one database, in one event loop: each sees one SQLite store through a seat of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import LogsAppended, Outcome, Ready
from orchestrator.domain.paths import contains
from orchestrator.domain.principal import EVERYWHERE, OPEN
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import LeaseMode, Millis
from orchestrator.loops.follower import Follower
from orchestrator.loops.reaper import Reaper
from orchestrator.loops.sharing import Sharing
from orchestrator.queue.commit import Queue
from orchestrator.store.protocol import Asker, Commit, FeedEvent, Look, SharedStore, StoreAwayError
from orchestrator.store.reads import SQLITE, Reads
from orchestrator.store.sqlite.store import SQLiteStore
from orchestrator.telemetry.metrics import Metrics
from tests.rig import Time, make_store
from tests.serving import Server, grants
from worker_client.contract.specs import DIRECTORYLESS


class Database:
    """What the servers share."""

    def __init__(self, directory: Path, time: Time, **options: Any) -> None:
        store = make_store("sqlite", directory, time, **options)
        assert isinstance(store, SQLiteStore)
        self.store = store
        self.opened: Commit | None = None
        self.seats: list[Seat] = []
        self.askers: dict[tuple[Seat, str], Asker] = {}
        self.rings = True
        """Whether a commit rings the others' doorbells."""

    async def open(self) -> None:
        self.opened = await self.store.open()

    async def burn(self, ids: int = 1) -> None:
        """What a transaction that was rolled back leaves behind: ids of events that there never will be."""
        assert self.store._writer is not None
        await self.store._writer.run(
            lambda connection: connection.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'events'", (ids,))
        )

    async def events(self) -> list[FeedEvent]:
        return await self.store.reads.events(0, 10**6, EVERYWHERE)

    async def close(self) -> None:
        await self.store.close()


class Seat:
    """One server's way to the database: it can be cut, held up, and lose answers."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.seats.append(self)
        self.asleep_ms = 0
        self.away: Exception | None = None
        self.failing: Exception | None = None
        """Raised by commits alone."""
        self.lost: Exception | None = None
        """Raised by commits when all is on disk."""
        self.before = asyncio.Event()
        self.after = asyncio.Event()
        self.before.set()
        self.after.set()
        self.commits = 0
        self.on_disk = 0
        self.looks: list[tuple[Sequence[str], Sequence[str]]] = []
        self.tell: Callable[[tuple[int, ...]], None] = lambda _: None
        self._reads = Reads(self._fetch, SQLITE)

    @property
    def reads(self) -> Reads:
        return self._reads

    @property
    def epoch(self) -> str:
        return self.database.store.epoch

    async def _fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        self._reach()
        assert self.database.store._pool is not None
        return await self.database.store._pool.fetch(sql, params)

    def _reach(self) -> None:
        if self.away is not None:
            raise self.away

    async def open(self) -> Commit:
        assert self.database.opened is not None
        return Commit(self.now(), [], [], *await self._due())

    def now(self) -> Millis:
        return self.database.store.now()

    def wall(self) -> Millis:
        return self.database.store.wall()

    async def commit(self, batch: Sequence[ops.Submission], rules: Rules) -> Commit:
        self.commits += 1
        await self.before.wait()
        self._reach()
        if self.failing is not None:
            raise self.failing
        commit = await self.database.store.commit(batch, rules)
        self.on_disk += 1
        logged = {change.task_id for one in commit.decisions for change in one.changes if isinstance(change, LogsAppended)}
        if self.database.rings and (commit.events or logged):
            for seat in self.database.seats:
                if seat is not self:
                    seat.tell(tuple(logged))
        await self.after.wait()
        if self.lost is not None:
            raise self.lost
        return commit

    async def listen(self, tell: Callable[[tuple[int, ...]], None]) -> None:
        self._reach()
        self.tell = tell

    async def look(self, paths: Sequence[str], roots: Sequence[str]) -> Look:
        self.looks.append((paths, roots))
        (last,) = (await self._fetch("SELECT coalesce(max(id), 0) FROM events", ()))[0]
        waiting = await self._fetch("SELECT DISTINCT path, host, kind, agent FROM tasks WHERE status = 'waiting'", ())
        leases = await self._fetch("SELECT path, lease_host FROM tasks WHERE lease_mode = ?", (int(LeaseMode.EXCLUSIVE),))
        ready = [
            Ready(0, path, host, kind, (), agent)
            for path, host, kind, agent in waiting
            if (path in paths or any(contains(root, path) for root in roots))
            and (kind in DIRECTORYLESS or not any(contains(above, path) and on in {"", host or None} for above, on in leases))
        ]
        due, live = await self._due()
        ((fires,),) = await self._fetch("SELECT min(fire_at) FROM schedules", ())
        return Look(last, due, live, ready, fires)

    async def _due(self) -> tuple[Millis | None, bool]:
        ((*times,),) = await self._fetch(
            "SELECT (SELECT min(due_at) FROM tasks WHERE status = 'scheduled'),"
            " (SELECT min(hold_until) FROM tasks WHERE status = 'parked'),"
            " (SELECT min(expire_at) FROM tasks WHERE status = 'running'),"
            " (SELECT min(held_until) FROM accounts)",
            (),
        )
        return min((at for at in times if at is not None), default=None), times[2] is not None

    async def share(self, askers: Sequence[Asker]) -> None:
        self._reach()
        self.database.askers |= {(self, asker.worker_id): asker for asker in askers}

    async def askers(self, since: Millis) -> list[Asker]:
        self._reach()
        return [one for (seat, _), one in self.database.askers.items() if seat is not self and one.seen_at >= since]

    async def servers(self) -> int:
        return len(self.database.seats)

    async def wal_bytes(self) -> int:
        return 0

    def hurry(self) -> None:
        """There is nothing to wait for."""

    async def close(self) -> None:
        """The database stays open for the others."""


class Replica(Server):
    """One of several servers."""

    def __init__(self, database: Database, time: Time, rules: Rules | None = None, **limits: Any) -> None:
        self.time = time
        self.seat = Seat(database)
        store: SharedStore = self.seat
        self.metrics = Metrics("test")
        self.queue = Queue(store, rules or Rules(backoff='{"jitter": 0}'), self.metrics, **limits)
        self.follower = Follower(self.queue, store)
        self.sharing = Sharing(self.queue, store)
        self.reaper = Reaper(self.queue)
        self.told: list[int] = []
        publish = self.queue.feed.publish

        def note(events: Any) -> None:
            events = list(events)
            self.told += [event.id for event in events]
            publish(events)

        self.queue.feed.publish = note  # type: ignore[method-assign]

    def cut(self, reason: str = "connection refused") -> None:
        """The database can no longer be reached from here."""
        self.seat.away = StoreAwayError(reason)

    def mend(self) -> None:
        self.seat.away = None

    def hand_in(self, op: ops.Operation, **how: Any) -> "asyncio.Future[Outcome]":
        return self.queue.submit(op, OPEN, **how)


@asynccontextmanager
async def replicas(directory: Path, number: int = 2, **facts: Any) -> AsyncIterator[list[Replica]]:
    """Servers on one database; doorbells ring only where a follower runs."""
    time = Time()
    database = Database(directory, time)
    await database.open()
    servers = [Replica(database, time, **facts) for _ in range(number)]
    for server in servers:
        await server.queue.start()
    try:
        yield servers
    finally:
        for server in servers:
            server.mend()
            server.seat.before.set()
            server.seat.after.set()
            await server.queue.stop()
        await database.close()


@asynccontextmanager
async def following(*servers: Replica) -> AsyncIterator[None]:
    """Their followers run."""
    tasks = [asyncio.create_task(server.follower.run()) for server in servers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def got(poll: "asyncio.Future[Outcome]") -> list[int]:
    async with asyncio.timeout(20):
        return grants(await poll)


async def quiet(*servers: Replica) -> None:
    """Until all that was woken has asked."""
    for server in servers:
        while server.queue.backlog or any(poll.asking for poll in server.queue._parked):
            await server.do(ops.Tick())


async def caught_up(server: Replica) -> None:
    """Until all that there is was heard, and all that was woken for it has asked; what comes in a transaction is read later."""
    for _ in range(3):
        await server.follower.catch_up()
        await quiet(server)
