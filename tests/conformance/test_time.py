"""What time does to a served queue: leases after a pause, a restart, and the reaper's moments."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Beat
from orchestrator.store.clock import Clock
from orchestrator.store.protocol import DatabaseInUseError
from tests.rig import HOUR, STORES, Time, claim, make_sqlite, meddle
from tests.serving import Server, grants, until
from worker_client.contract.enums import Status

pytestmark = pytest.mark.anyio


async def test_a_suspended_server_gives_leases_their_time_back(server: Server) -> None:
    task_id = await server.add()
    grant = await server.take(lease_ms=10_000)
    ends_at = (await server.view(task_id)).head.lease_ends_at
    server.time.pass_(HOUR)
    await server.reaper.once(server.queue.now())
    head = (await server.view(task_id)).head
    assert head.status is Status.RUNNING
    assert head.lease_ends_at == (ends_at or 0) + HOUR
    beat = await server.do(ops.Heartbeat(task_id=task_id, lease=grant.lease))
    assert isinstance(beat, Beat)
    server.time.pass_(4_000)
    await server.do(ops.Tick())
    server.time.pass_(4_999)
    await server.do(ops.Tick())
    server.time.pass_(2_001)
    await server.reaper.once(server.queue.now())
    assert await server.status(task_id) is Status.SCHEDULED


async def test_a_restart_after_a_long_time_expires_nobody(server: Server) -> None:
    leases = {}
    for n in range(30):
        task_id = await server.add(f"/{n}", timeout_ms=30_000)
        leases[task_id] = await server.take(f"/{n}")
    other = await server.again(after_ms=24 * HOUR)
    try:
        await other.reaper.once(other.queue.now())
        for task_id, grant in leases.items():
            beat = await other.do(ops.Heartbeat(task_id=task_id, lease=grant.lease))
            assert isinstance(beat, Beat)
            assert beat.lease_ends_at > other.queue.now()
        other.time.pass_(4_000)
        await other.do(ops.Tick())
        assert {await other.status(task_id) for task_id in leases} == {Status.RUNNING}
    finally:
        await other.queue.stop()


async def test_time_does_not_go_back_over_a_restart(server: Server) -> None:
    await server.add()
    then = server.queue.now()
    other = await server.again(after_ms=-HOUR)
    try:
        assert other.queue.now() >= then
        await other.add()
        assert (await other.view(2)).head.created_at >= then
    finally:
        await other.queue.stop()


async def test_one_process_serves_a_file(tmp_path: Path) -> None:
    server = Server("sqlite", tmp_path)
    await server.queue.start()
    other = make_sqlite(tmp_path, server.time)
    with pytest.raises(DatabaseInUseError, match="served by another process"):
        await other.open()
    await server.queue.stop()


def test_the_clock_goes_on_from_what_has_happened() -> None:
    time = Time(1_000_000)
    clock = time.clock()
    clock.not_before(2_000_000)
    assert clock.now() == 2_000_000
    time.pass_(5)
    assert clock.now() == 2_000_005
    clock.not_before(5)
    assert clock.now() == 2_000_005
    time.at -= 100
    assert clock.now() == 2_000_005
    real = Clock()
    assert real.now() <= real.now()


async def test_the_reaper_acts_at_the_very_moment(server: Server) -> None:
    later, sooner = await server.add("/s", delay_ms=4_000), await server.add("/t", delay_ms=2_000)
    running = await server.add("/a")
    await server.take(lease_ms=3_000)
    assert server.queue.next_due == server.time.at + 2_000
    happened: dict[int, int] = {}
    begin = server.time.at
    for _ in range(4_100 // 50):
        server.time.pass_(50)
        await server.reaper.once(server.queue.now())
        for task_id, was in ((later, Status.SCHEDULED), (sooner, Status.SCHEDULED), (running, Status.RUNNING)):
            if task_id not in happened and await server.status(task_id) is not was:
                happened[task_id] = server.time.at - begin
    assert happened == {sooner: 2_000, running: 3_300, later: 4_000}


async def test_ticks_tell_until_when_the_server_was_alive(server: Server) -> None:
    await server.add()
    await server.take(lease_ms=HOUR)
    for _ in range(10):
        server.time.pass_(1_000)
        await server.reaper.once(server.queue.now())
    other = await server.again(after_ms=500)
    try:
        assert other.store.asleep_ms <= 2_500
    finally:
        await other.queue.stop()


@pytest.fixture(params=STORES)
async def living(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """A server in real time, with its reaper at work."""
    server = Server(request.param, tmp_path)
    server.store._clock = Clock()
    await server.queue.start()
    reaper = asyncio.create_task(server.reaper.run())
    yield server
    reaper.cancel()
    await asyncio.gather(reaper, return_exceptions=True)
    await server.queue.stop()


async def happens(server: Server, task_id: int, kind: str) -> None:
    """Wait for an event of a task."""
    with server.queue.feed.watch(task_id) as watch:
        async with asyncio.timeout(20):
            while not any(event.type == kind for event in await watch.next(20)):
                pass


async def test_the_reaper_wakes_by_itself_for_what_becomes_due(living: Server) -> None:
    poll = await living.parked(claim(lease_ms=300))
    begun = living.queue.now()
    task_id = await living.add(delay_ms=200)
    assert grants(await poll) == [task_id]
    assert living.queue.now() - begun >= 200
    await happens(living, task_id, "task.expired")
    assert living.queue.now() - begun >= 530
    assert living.reaper.failed is None


async def test_the_reaper_wakes_earlier_when_something_earlier_comes(living: Server) -> None:
    far = await living.add("/far", delay_ms=HOUR)
    near = await living.add("/near", delay_ms=100)
    await happens(living, near, "task.ready")
    assert await living.status(far) is Status.SCHEDULED


async def test_the_reaper_ticks_from_the_moment_that_a_lease_lives(living: Server) -> None:
    await living.add("/far", delay_ms=14_000)
    await living.add()
    await until(lambda: living.reaper._armed is not None)
    assert not living.reaper._ticking
    await living.take(lease_ms=HOUR)
    await until(lambda: living.reaper._ticking)


async def test_the_reaper_survives_a_database_that_fails(living: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.loops.reaper.AFTER_ERROR_S", 0.01)
    task_id = await living.add(delay_ms=50)
    await meddle(living.store, "ALTER TABLE events RENAME TO mislaid")
    await until(lambda: living.reaper.failed)
    assert living.queue.failing is not None
    await meddle(living.store, "ALTER TABLE mislaid RENAME TO events")
    await happens(living, task_id, "task.ready")
    await until(lambda: not living.reaper.failed)
    assert living.queue.failing is None
