"""The database away and back: who is refused, who stays, and what is said of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from orchestrator.domain import operations as ops
from orchestrator.queue.away import words
from orchestrator.queue.pulse import GAP_MS, Pulse
from orchestrator.queue.waiting import Waits
from orchestrator.store.protocol import BusyError, StoreAwayError, UnsettledError
from tests.rig import claim, enqueue, interest, new_task
from tests.serving import LONG, grants, until
from tests.shared import Replica, replicas
from worker_client.contract.enums import Status
from worker_client.errors import Internal, Overloaded

pytestmark = pytest.mark.anyio

GONE = StoreAwayError("connection to postgresql://me:secret@db/queue refused")


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replicas(tmp_path) as (here, there):
        yield here, there


async def test_all_is_refused_at_once_and_parked_polls_stay(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    poll = await here.parked(claim())
    here.cut()
    with capture_logs() as logs:
        with pytest.raises(Overloaded, match="cannot be reached") as refusal:
            await here.do(ops.Tick())
        assert refusal.value.retry_after > 0
        for op in (enqueue(new_task()), claim(), ops.Heartbeat(task_id=1, lease="1.1.a"), ops.Tick()):
            assert isinstance(here.hand_in(op, wait_ms=LONG).exception(), Overloaded)
        for _ in range(5):
            await here.follower.once()
        task_id = await there.add()
        assert (here.queue.parked, poll.done()) == (1, False)
        here.mend()
        await here.follower.once()
    assert grants(await poll) == [task_id]
    assert here.queue.away is None
    assert [(entry["event"], entry["log_level"]) for entry in logs if "reached" in entry["event"]] == [
        ("the database cannot be reached", "warning"),
        ("the database can be reached again", "info"),
    ]
    assert not any("exc_info" in entry for entry in logs)
    assert here.metrics.operations_shed == 4


async def test_who_was_on_the_way_is_refused_and_who_was_woken_goes_back_to_his_place(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    poll = await here.parked(claim())
    later = await here.parked(claim(worker="w2"))
    here.seat.before.clear()
    here.hand_in(ops.Tick()).add_done_callback(lambda done: done.exception())
    await here.gathered()
    task_id = await there.add()
    woken = here.hand_in(enqueue(new_task("/b")))
    fresh = here.hand_in(claim(interest("/c")), wait_ms=LONG)
    here.queue._parked.room.wake(Waits("/a", "", "agent"))
    assert here.queue.backlog == 3
    here.cut()
    await here.follower.once()
    for refused in (woken, fresh):
        assert isinstance(refused.exception(), Overloaded)
    assert (here.queue.backlog, here.queue.parked) == (0, 2)
    here.seat.before.set()
    here.mend()
    await here.follower.once()
    assert grants(await poll) == [task_id]
    assert not later.done()


async def test_a_claim_in_the_transaction_that_failed_goes_back_and_asks_again(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    poll = await here.parked(claim())
    gone = await here.parked(claim(interest("/a", kinds=["agent"]), worker="w2"))
    here.seat.before.clear()
    task_id = await there.add()
    await here.follower.once()
    await until(lambda: here.seat.commits > here.seat.on_disk)
    here.cut()
    here.seat.before.set()
    await until(lambda: here.queue.away)
    assert not any(one.asking for one in here.queue._parked)
    gone.cancel()
    await asyncio.sleep(0)
    assert here.queue.parked == 1
    here.mend()
    await here.follower.once()
    assert grants(await poll) == [task_id]


async def test_the_time_of_a_poll_is_over_while_the_database_is_away(pair: tuple[Replica, Replica]) -> None:
    here, _ = pair
    hung_up = await here.parked(claim(worker="w2"))
    (parked,) = here.queue._parked
    hung_up.cancel()
    here.queue._parked.give_up(parked)
    short = here.hand_in(claim(), wait_ms=30)
    await here.do(ops.Tick())
    here.cut()
    await here.follower.once()
    async with asyncio.timeout(20):
        assert grants(await short) == []
    assert here.queue.parked == 0
    here.mend()
    await here.follower.once()


async def test_a_poll_given_up_while_it_asked_is_answered_when_the_database_goes(pair: tuple[Replica, Replica]) -> None:
    """Its time was over when it was asking already: nothing was decided, so it gets nothing."""
    here, there = pair
    poll = await here.parked(claim())
    here.seat.before.clear()
    await there.add()
    await here.follower.once()
    await until(lambda: here.seat.commits > here.seat.on_disk)
    (asking,) = here.queue._parked
    here.queue._parked.give_up(asking)
    here.queue._parked.give_up(asking)
    assert not poll.done()
    here.cut()
    here.seat.before.set()
    assert grants(await poll) == []
    assert here.queue.parked == 0
    here.mend()
    await here.follower.once()


async def test_a_cancelled_claim_needs_no_refusal(pair: tuple[Replica, Replica]) -> None:
    here, _ = pair
    here.seat.before.clear()
    report = here.hand_in(ops.Tick())
    await here.gathered()
    report.cancel()
    here.cut()
    here.seat.before.set()
    await until(lambda: here.queue.away)
    here.mend()
    await here.follower.once()


async def test_while_a_commit_is_being_settled_all_others_are_refused(pair: tuple[Replica, Replica]) -> None:
    """Its answer was lost; the store finds out what became of it, which takes as long as the database is away."""
    here, there = pair
    poll = await here.parked(claim())
    here.seat.after.clear()
    decided = here.seat.on_disk
    created = here.hand_in(enqueue(new_task(), new_task("/b")))
    await until(lambda: here.seat.on_disk > decided)
    assert any(one.asking for one in here.queue._parked)
    here.cut()
    await here.follower.once()
    assert isinstance(here.hand_in(enqueue(new_task("/c"))).exception(), Overloaded)
    (asking,) = here.queue._parked
    here.queue._parked.give_up(asking)
    assert grants(await poll) == []
    here.seat.after.set()
    here.mend()
    await created
    assert here.queue.away is None
    await here.do(ops.Tick())
    head = (await there.view(1)).head
    assert (head.status, head.lease_no, head.attempt) == (Status.WAITING, 1, 0)


async def test_what_nobody_can_tell_is_not_done_twice(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    poll = await there.parked(claim())
    stays = await here.parked(claim(interest("/b")))
    here.seat.lost = UnsettledError("nobody came back")
    with pytest.raises(Internal, match="may have had an effect"):
        await here.do(enqueue(new_task()))
    here.seat.lost = None
    assert len(await here.seat.database.events()) == 1
    await there.follower.once()
    assert grants(await poll) == [1]
    assert not stays.done()
    await here.follower.once()
    assert here.told[0] == 1
    await here.do(ops.Tick())
    assert here.queue.failing is None


async def test_a_batch_that_failed_is_not_run_again_on_a_database_that_went_away(
    pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = pair
    tries = 0

    async def fail(*_: object) -> None:
        nonlocal tries
        tries += 1
        if tries > 1:
            here.queue.lost(GONE)
        raise OSError("no")

    monkeypatch.setattr(here.seat, "commit", fail)
    outcomes = await asyncio.gather(*(here.do(ops.Tick()) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [Internal, Overloaded, Overloaded]
    monkeypatch.undo()
    await here.follower.once()


async def test_a_woken_poll_whose_claim_fails_is_told_so(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    poll = await here.parked(claim())
    await there.add()
    here.seat.failing = OSError("no")
    await here.follower.once()
    with pytest.raises(Internal, match="could not be committed"):
        await poll
    here.seat.before.clear()
    gone = here.hand_in(ops.Tick())
    await here.gathered()
    gone.cancel()
    here.seat.before.set()
    with pytest.raises(Internal, match="could not be committed"):
        await here.do(ops.Tick())
    here.seat.failing = None
    await here.do(ops.Tick())
    assert here.queue.parked == 0


async def test_who_waited_too_long_for_others_may_try_again(pair: tuple[Replica, Replica]) -> None:
    here, _ = pair
    here.seat.failing = BusyError("lock not available")
    with pytest.raises(Overloaded, match="too busy") as refusal:
        await here.add()
    assert refusal.value.retry_after > 0
    here.seat.failing = None
    assert await here.add()


async def test_a_woken_poll_that_hung_up_has_no_place_to_go_back_to(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    poll = await here.parked(claim())
    here.seat.before.clear()
    await there.add()
    await here.follower.once()
    await until(lambda: here.seat.commits > here.seat.on_disk)
    (parked,) = here.queue._parked
    poll.cancel()
    here.queue._parked.give_up(parked)
    here.cut()
    await here.follower.once()
    here.seat.before.set()
    await until(lambda: not here.queue._parked.deciding)
    assert here.queue.parked == 0
    here.mend()
    await here.follower.once()


async def test_draining_answers_all_who_stayed(pair: tuple[Replica, Replica]) -> None:
    here, _ = pair
    poll = await here.parked(claim())
    here.cut()
    await here.follower.once()
    here.queue.drain()
    assert grants(await poll) == []
    here.mend()
    await here.follower.once()
    assert here.queue._parked.room.closed


async def test_leases_get_the_time_back_in_which_nobody_could_extend_them(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.add()
    grant = await here.take()
    ends = (await here.view(grant.task_id)).head.lease_ends_at
    for server in pair:
        server.cut()
        await server.follower.once()
    here.time.pass_(30_000)
    for server in pair:
        server.mend()
        await server.follower.once()
        await server.reaper.once(server.queue.now())
    head = (await there.view(grant.task_id)).head
    assert (head.status, head.lease_ends_at) == (Status.RUNNING, ends and ends + 30_000)


@pytest.mark.parametrize(("asleep", "given_back"), [(2_000, 0), (2_501, 2_501), (6_000, 6_000)])
async def test_a_server_that_joins_others_shifts_leases_only_if_time_was_missed(
    tmp_path: Path, asleep: int, given_back: int
) -> None:
    async with replicas(tmp_path) as (here, there):
        await here.add()
        grant = await here.take()
        ends = (await here.view(grant.task_id)).head.lease_ends_at
        late = Replica(here.seat.database, here.time)
        here.time.pass_(asleep)
        late.seat.asleep_ms = asleep
        await late.queue.start()
        assert (await here.view(grant.task_id)).head.lease_ends_at == (ends or 0) + given_back
        await late.queue.stop()
        await there.do(ops.Tick())


def test_a_gap_counts_until_it_was_given_back() -> None:
    pulse = Pulse()
    pulse.start(1_000)
    assert pulse.gap(1_000 + GAP_MS) == 0
    assert pulse.gap(1_001 + GAP_MS) == GAP_MS + 1
    pulse.beat(11_000)
    assert pulse.gap(12_000) == 10_000
    pulse.beat(12_000)
    pulse.beat(22_000)
    assert pulse.gap(22_000) == 20_000
    pulse.start(22_000)
    assert pulse.gap(22_000) == 0


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no postgresql://me:secret@db/q here", "no postgresql://me:***@db/q here"),
        ("password=secret host=db", "password=*** host=db"),
        ("Password = 'very secret' host=db", "Password = *** host=db"),
        ("connection refused", "connection refused"),
    ],
)
def test_no_password_is_shown(said: str, shown: str) -> None:
    assert words(StoreAwayError(said)) == shown
