"""The loops while the database is away: they wait, say nothing, and go on by themselves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import OPEN
from orchestrator.loops import follower, pruner, reaper
from orchestrator.loops.pruner import Pruner
from tests.serving import until
from tests.shared import Replica, following, replicas
from worker_client.contract.enums import Status
from worker_client.errors import Overloaded

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replicas(tmp_path) as (here, there):
        yield here, there


async def test_the_loops_go_on_by_themselves_and_say_nothing(
    pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    monkeypatch.setattr(follower, "LOOK_S", 0.001)
    monkeypatch.setattr(reaper, "AFTER_ERROR_S", 0.001)
    pruned = Pruner(here.queue, retention_days=1, interval=0.001)
    task_id = await here.add(delay_ms=5_000)
    here.cut()
    with capture_logs() as logs:
        with pytest.raises(Overloaded):
            await here.do(ops.Tick())
        here.time.pass_(5_000)
        tasks = [asyncio.create_task(loop.run()) for loop in (here.reaper, pruned, here.follower)]
        await until(lambda: here.reaper.failed and here.metrics.operations_shed > 5)
        here.mend()
        await until(lambda: here.queue.away is None and here.queue.next_due is None and here.reaper.failed is None)
        assert await there.status(task_id) is Status.WAITING
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [entry["log_level"] for entry in logs if entry["log_level"] not in {"debug", "info"}] == ["warning"]


async def test_the_pruner_says_what_else_is_wrong(pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = pair
    monkeypatch.setattr(pruner, "KEYS_MS", "no number")
    with capture_logs() as logs:
        task = asyncio.create_task(Pruner(here.queue, retention_days=1, interval=0.001).run())
        await until(lambda: logs)
        task.cancel()
    assert logs[0]["event"] == "the pruner failed and goes on"


async def test_reading_may_fail_first(pair: tuple[Replica, Replica]) -> None:
    here, _ = pair
    here.cut()
    await here.follower.catch_up()
    assert here.queue.away is not None
    here.mend()
    await here.follower.once()


async def test_a_database_that_stands_still_is_away(pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = pair

    async def silent(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(follower, "STANDS_STILL_S", 0.001)
    monkeypatch.setattr(here.seat, "look", silent)
    await here.follower.once()
    assert here.queue.away is not None
    assert "has said nothing for" in here.queue.away.reason


async def test_what_is_due_but_held_up_elsewhere_is_tried_again_soon(
    pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = pair
    monkeypatch.setattr(reaper, "HELD_UP_S", 0.001)
    here.queue.next_due = here.queue.now()
    tries = 0

    async def nothing(_now: int) -> int:
        nonlocal tries
        tries += 1
        if tries == 3:
            here.queue.next_due = None
        return 0

    monkeypatch.setattr(here.reaper, "once", nothing)
    task = asyncio.create_task(here.reaper.run())
    await until(lambda: tries == 3)
    task.cancel()


async def test_an_undelivered_claim_meets_no_database(pair: tuple[Replica, Replica]) -> None:
    here, _ = pair
    await here.add()
    grant = await here.take()
    here.cut()
    await here.follower.once()
    here.queue.undeliver(grant.task_id, grant.lease, grant.delivery_no, OPEN)
    async with following(here):
        await asyncio.sleep(0)
    here.mend()
    await here.follower.once()


async def test_a_queue_that_was_never_started_can_be_stopped(pair: tuple[Replica, Replica]) -> None:
    here, _ = pair
    await Replica(here.seat.database, here.time).queue.stop()
