"""The feed of several servers on one database: one order, no gap, nothing twice."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.http.events import EventStream
from orchestrator.queue.board import Board
from orchestrator.queue.cursor import Cursor
from orchestrator.queue.topics import Topics
from tests.rig import claim, enqueue, new_task
from tests.serving import LONG
from tests.shared import Replica, caught_up, replicas

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replicas(tmp_path) as (here, there):
        yield here, there


def stream(server: Replica) -> EventStream:
    return EventStream(Cursor(server.queue, Board(server.queue), server.seat.epoch, Topics(administers=True)))


class Traffic:
    """Random doings of servers, in whatever order the event loop brings them."""

    def __init__(self, servers: list[Replica], chance: random.Random) -> None:
        self.servers = servers
        self.chance = chance
        self.hearing: list[asyncio.Task[None]] = []

    async def step(self) -> None:
        steps = [self.create, self.create, self.claim, self.hear, self.look, self.hold, self.go, self.burn, self.rest]
        done = self.chance.choice(steps)(self.chance.choice(self.servers))
        if done is not None:
            await done

    def create(self, server: Replica) -> None:
        _ = server.hand_in(enqueue(*(new_task() for _ in range(self.chance.choice((1, 1, 3))))))

    def claim(self, server: Replica) -> None:
        _ = server.hand_in(claim(worker=f"w{self.chance.random()}"), wait_ms=self.chance.choice((0, LONG)))

    def hear(self, server: Replica) -> None:
        self.hearing.append(asyncio.create_task(server.follower.catch_up()))

    def look(self, server: Replica) -> None:
        self.hearing.append(asyncio.create_task(server.follower.once()))

    def hold(self, server: Replica) -> None:
        server.seat.after.clear()

    def go(self, server: Replica) -> None:
        server.seat.after.set()

    async def burn(self, server: Replica) -> None:
        await server.seat.database.burn()

    async def rest(self, _: Replica) -> None:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("seed", range(6))
async def test_every_event_is_told_once_and_in_order_at_every_server(tmp_path: Path, seed: int) -> None:
    async with replicas(tmp_path, 3) as servers:
        traffic = Traffic(servers, random.Random(seed))
        for _ in range(150):
            await traffic.step()
        for server in servers:
            server.seat.after.set()
        await asyncio.gather(*traffic.hearing)
        for _ in range(2):
            for server in servers:
                await server.do(ops.Tick())
                await caught_up(server)
        ids = [event.id for event in await servers[0].seat.database.events()]
        assert all(server.told == ids for server in servers)
        assert not any(server.queue._hearing._own for server in servers)


async def test_a_reader_that_comes_from_the_other_goes_on_without_gap_or_double(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.do(enqueue(*(new_task() for _ in range(3))))
    assert there.queue.feed.last_id == 0
    frames = stream(there).frames(f"{there.seat.epoch}-2")
    assert b"reset" not in await anext(frames)
    read = await anext(frames)
    await there.seat.database.burn(2)
    await here.add()
    await there.follower.catch_up()
    while b"data" not in (more := await anext(frames)):
        pass
    assert [line for line in (read + more).splitlines() if line.startswith(b"id")] == [
        f"id: {there.seat.epoch}-{number}".encode() for number in (3, 6)
    ]
    await frames.aclose()


async def test_a_reader_far_behind_reads_over_the_gaps(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.add()
    await here.seat.database.burn(2)
    await here.do(enqueue(*(new_task() for _ in range(3))))
    await there.follower.catch_up()
    there.queue.feed._recent.clear()
    frames = stream(there).frames(f"{there.seat.epoch}-1")
    await anext(frames)
    read = await anext(frames)
    assert read.count(b"id: ") == 3
    assert b"reset" not in read
    await frames.aclose()


async def test_an_event_that_no_server_knows_is_unknown(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.add()
    frames = stream(there).frames(f"{there.seat.epoch}-2")
    assert b"there is no event with this id" in await anext(frames)
    await frames.aclose()


async def test_what_is_far_behind_is_heard_page_by_page(pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.queue.hearing._PAGE", 2)
    here, there = pair
    await here.do(enqueue(*(new_task() for _ in range(5))))
    await there.follower.catch_up()
    assert there.told == [1, 2, 3, 4, 5]
