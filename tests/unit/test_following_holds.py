"""Accounts and drains of which another server tells."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed, Drained
from tests.rig import HOUR, claim
from tests.shared import Replica, caught_up, got, replicas

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replicas(tmp_path) as (here, there):
        yield here, there


async def test_the_reset_of_an_account_wakes_who_waits_for_it_elsewhere(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.do(ops.SetAccount(account="me", held_until=here.time.at + HOUR))
    task_id = await here.add()
    poll = await there.parked(claim(account="me"))
    await caught_up(there)
    assert not poll.done()
    await there.follower.once()
    assert (here.queue.next_due, there.queue.next_due) == (here.time.at + HOUR,) * 2
    here.time.pass_(HOUR)
    await here.reaper.once(here.queue.now())
    await caught_up(there)
    assert await got(poll) == [task_id]


async def test_a_worker_drains_wherever_it_asks(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    poll, other = await there.parked(claim(worker="w1")), await there.parked(claim(worker="w2"))
    asked = there.hand_in(ops.SetDirectory(path="/x", paused=True))
    await here.do(ops.DrainWorker(worker_id="w1"))
    await asked
    await caught_up(there)
    outcome = await poll
    assert isinstance(outcome, Claimed)
    assert outcome.drain
    assert not other.done()
    again = await there.do(claim(worker="w1"))
    assert isinstance(again, Claimed)
    assert again.drain


async def test_a_poll_whose_asker_has_just_gone_is_not_answered(pair: tuple[Replica, Replica]) -> None:
    here, _ = pair
    poll = await here.parked(claim(worker="w1"))
    poll.cancel()
    here.queue._parked.wake([Drained("w1", None)])
    assert poll.cancelled()
    assert here.queue.parked == 0
