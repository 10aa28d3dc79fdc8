"""What does not go on, and how servers stand among each other, as the gauges tell it."""

import asyncio
from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.schedule_operations import SetScheduler
from orchestrator.loops.follower import Follower
from orchestrator.store.postgres.store import PostgresStore
from orchestrator.telemetry.gauges import STUCK_MS, Replicas, Standstill
from tests import cron_rig
from tests.reading import read
from tests.rig import HOUR, MINUTE, Rig, Time
from tests.serving import Server
from worker_client.contract.enums import LogStream, ParkReason


def standstill(rig: Rig) -> Standstill:
    return read(rig, rig.store.reads.standstill(rig.time.at, rig.time.at))


def test_what_is_parked_is_told_by_reason_and_how_much_waits_for_a_person_for_long(rig: Rig) -> None:
    asking, resting = (rig.running(path) for path in ("/a", "/b"))
    rig.do(ops.Park(task_id=asking.task_id, lease=asking.lease, hold=ParkReason.QUESTION))
    rig.do(ops.Park(task_id=resting.task_id, lease=resting.lease, hold=ParkReason.QUOTA, not_before=rig.time.at + 2 * HOUR))
    rig.add("/c", requires_approval=True)
    found = standstill(rig)
    assert (dict(found.parked), found.unanswered) == ({"approval": 1, "question": 1, "quota": 1}, 0)
    rig.time.pass_(STUCK_MS + 1)
    assert standstill(rig).unanswered == 2, "a quota ends by itself"
    rig.do(ops.Answer(task_id=asking.task_id, answer="This one"))
    assert standstill(rig).unanswered == 1


def test_a_running_task_is_silent_when_it_puts_out_nothing_for_long(rig: Rig) -> None:
    grants = [rig.running(f"/{name}", lease_ms=2 * HOUR, timeout_ms=2 * HOUR) for name in "ab"]
    assert standstill(rig).silent == 0
    rig.time.pass_(STUCK_MS - MINUTE)
    line = ops.LogLine("going on", LogStream.STDOUT, rig.time.at)
    rig.do(ops.AppendLogs(task_id=grants[0].task_id, lease=grants[0].lease, first_line=1, lines=(line,)))
    rig.time.pass_(2 * MINUTE)
    assert standstill(rig).silent == 1
    rig.time.pass_(STUCK_MS)
    assert standstill(rig).silent == 2
    rig.do(ops.Complete(task_id=grants[0].task_id, lease=grants[0].lease))
    assert standstill(rig).silent == 1


def test_a_schedule_that_has_not_fired_is_late_unless_all_are_stopped(rig: Rig) -> None:
    cron_rig.add(rig)
    found = standstill(rig)
    assert (found.late_schedules, found.latest_seconds) == (0, 0)
    rig.time.pass_(2 * HOUR)
    found = standstill(rig)
    assert found.late_schedules == 1
    assert HOUR / 1000 <= found.latest_seconds <= 2 * HOUR / 1000
    rig.do(SetScheduler(running=False), SYSTEM)
    assert standstill(rig).late_schedules == 0


def test_what_waits_for_long_where_nobody_asks_is_told(rig: Rig) -> None:
    for path in ("/a", "/a", "/b"):
        rig.add(path)
    rig.time.pass_(STUCK_MS)
    rig.add("/new")
    found = read(rig, rig.store.reads.snapshot(rig.time.at, lambda path, _: path == "/b"))
    assert found.unasked == 2
    assert found.oldest_seconds == STUCK_MS / 1000
    assert read(rig, rig.store.reads.snapshot(rig.time.at)).unasked == 0


@pytest.mark.anyio
async def test_servers_on_one_database_know_of_each_other(tmp_path: Path) -> None:
    time = Time()
    one, other = (Server("postgres", tmp_path, time) for _ in range(2))
    assert isinstance(one.store, PostgresStore)
    follower = Follower(one.queue, one.store)
    await one.queue.start()
    try:
        assert await follower.standing() == Replicas(1, 0, 0)
        await other.queue.start()
        await other.add("/a")
        found = await follower.standing()
        assert (found.servers, found.behind_events) == (2, 1)
        await follower.once()
        looked = asyncio.get_running_loop().time()
        found = await follower.standing()
        assert found.behind_events == 0
        assert 0 <= found.looked_seconds <= asyncio.get_running_loop().time() - looked + 1
        await other.queue.stop()
        # The database notices a moment later that the connection is gone.
        async with asyncio.timeout(20):
            while (await follower.standing()).servers != 1:  # noqa: ASYNC110  the database tells nobody
                await asyncio.sleep(0.02)
    finally:
        await one.queue.stop()
