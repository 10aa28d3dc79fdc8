"""What a server reads to follow others; and two servers on a real shared database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Ready
from orchestrator.loops.follower import Follower
from orchestrator.loops.sharing import Sharing
from orchestrator.store.postgres.store import PostgresStore
from tests.reading import read
from tests.rig import Rig, Time, claim, interest
from tests.serving import Server, grants, until


def test_those_that_still_wait_are_told_with_kind_and_tags(rig: Rig) -> None:
    rig.add("/a", kind="script", tags=("gpu", "big"), host="box")
    rig.running("/b")
    rig.add("/c", delay_ms=1_000)
    rig.add("/d")
    reads = rig.store.reads
    assert read(rig, reads.still_waiting({4, 3, 2, 1, 99})) == [
        Ready(1, "/a", "box", "script", ("gpu", "big")),
        Ready(4, "/d", "", "agent", ()),
    ]
    assert read(rig, reads.still_waiting(())) == []


def test_directories_with_a_limit_are_told_on_whichever_host(rig: Rig) -> None:
    assert read(rig, rig.store.reads.limited()) == frozenset()
    rig.do(ops.SetDirectory(path="/a", max_running=1))
    rig.do(ops.SetDirectory(path="/a", host="box", max_running=2))
    rig.do(ops.SetDirectory(path="/b", paused=True))
    rig.do(ops.SetDirectory(path="/c", host="box", max_running=2))
    rig.do(ops.SetDirectory(path="/c", host="box", max_running=None))
    assert read(rig, rig.store.reads.limited()) == {"/a"}


class Replica(Server):
    """A server of several on one PostgreSQL, whose loops run."""

    def __init__(self, directory: Path, time: Time) -> None:
        super().__init__("postgres", directory, time)
        assert isinstance(self.store, PostgresStore)
        self.follower = Follower(self.queue, self.store)
        self.sharing = Sharing(self.queue, self.store)


@asynccontextmanager
async def running(server: Replica) -> AsyncIterator[None]:
    await server.queue.start()
    loop = asyncio.create_task(server.follower.run())
    try:
        yield
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await server.queue.stop()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    time = Time()
    here, there = Replica(tmp_path, time), Replica(tmp_path, time)
    async with running(here), running(there):
        await until(lambda: here.follower._listening and there.follower._listening)
        yield here, there


@pytest.mark.anyio
async def test_a_task_reaches_the_poll_at_the_other_server(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    poll = await there.parked(claim(interest("/a", tags=["gpu"]), worker="w2"))
    task_id = await here.add(tags=("gpu",))
    async with asyncio.timeout(20):
        assert grants(await poll) == [task_id]
    await until(lambda: here.queue.feed.last_id == there.queue.feed.last_id)


@pytest.mark.anyio
async def test_the_end_of_a_lease_reaches_the_poll_at_the_other_server(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.add(exclusive=True)
    grant = await here.take()
    second = await there.add("/a/b")
    poll = await there.parked(claim(interest("/a/b"), worker="w2"))
    await here.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    async with asyncio.timeout(20):
        assert grants(await poll) == [second]


@pytest.mark.anyio
async def test_who_asks_at_one_server_is_known_at_the_other(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    here.queue.presence.seen("one", interest("/a"), "team", here.queue.now())
    for server in pair:
        await server.sharing.once(server.queue.now())
    (worker,) = there.queue.presence.list(there.queue.now())
    assert (worker.worker_id, worker.account, worker.interest) == ("one", "team", interest("/a"))
