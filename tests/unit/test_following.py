"""Two servers on one database: what one does reaches the polls, feeds and loops of the other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.rules import Rules
from orchestrator.loops import follower
from orchestrator.store.protocol import StoreAwayError
from orchestrator.store.reads import Reads
from tests.rig import HOUR, claim, enqueue, interest, meddle, new_task
from tests.serving import LONG, until
from tests.shared import Replica, caught_up, following, got, quiet, replicas
from worker_client.contract.enums import LogStream, Status

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replicas(tmp_path) as (here, there):
        yield here, there


# Wake-ups


@pytest.mark.parametrize("rings", [True, False])
async def test_a_task_reaches_the_poll_that_is_parked_at_the_other(
    pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch, *, rings: bool
) -> None:
    here, there = pair
    here.seat.database.rings = rings
    if not rings:
        monkeypatch.setattr(follower, "LOOK_S", 0.02)
    async with following(here, there):
        await until(lambda: there.follower._listening)
        poll = await there.parked(claim())
        task_id = await here.add()
        assert await got(poll) == [task_id]


async def test_without_a_ring_the_look_finds_it(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    poll = await there.parked(claim())
    task_id = await here.add()
    assert not poll.done()
    await there.follower.once()
    assert await got(poll) == [task_id]
    assert (here.told, there.told) == ([1], [1, 2])


async def test_a_pause_that_is_lifted_elsewhere_wakes_who_was_kept_back(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.do(ops.SetDirectory(path="/a", paused=True))
    task_id = await here.add()
    poll = await there.parked(claim())
    await here.do(ops.SetDirectory(path="/a", paused=False))
    await caught_up(there)
    assert await got(poll) == [task_id]


async def test_a_look_finds_what_no_event_tells_of(pair: tuple[Replica, Replica]) -> None:
    """A claim skipped a row that another server's transaction held and then let go; a pause stands for that."""
    here, there = pair
    await here.do(ops.SetDirectory(path="/a", paused=True))
    task_id = await here.add(tags=("gpu",))
    poll = await there.parked(claim(interest("/a", tags=["gpu"])))
    await there.follower.once()
    await caught_up(there)
    assert not poll.done()
    await meddle(here.seat.database.store, "UPDATE directories SET paused = 0")
    await caught_up(there)
    assert not poll.done()
    await there.follower.once()
    assert await got(poll) == [task_id]


async def test_a_look_wakes_one_poll_for_each_kind_that_waits(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.do(ops.SetDirectory(path="/a", paused=True))
    await here.do(enqueue(*(new_task() for _ in range(5))))
    polls = [await there.parked(claim(worker=f"w{number}")) for number in range(10)]
    await caught_up(there)
    await there.follower.once()
    assert there.queue.backlog == 1
    await quiet(there)
    await here.do(ops.SetDirectory(path="/a", paused=False))
    await there.follower.once()
    await quiet(there)
    assert [len(await got(poll)) for poll in polls[:5]] == [1] * 5
    assert there.queue.parked == 5


async def test_what_is_looked_at_is_where_polls_are_parked(pair: tuple[Replica, Replica]) -> None:
    _, there = pair
    await there.follower.once()
    for wanted in (interest("/a"), interest("/b/c", "/d"), interest("/b", recursive=True), interest("/b/d/e", recursive=True)):
        _ = await there.parked(claim(wanted))
    poll = await there.parked(claim(interest("/b")))
    await there.follower.once()
    await there.follower.once()
    poll.cancel()
    await there.follower.once()
    assert there.seat.looks == [([], []), *[(["/a", "/d"], ["/b"])] * 3]


async def test_a_freed_directory_reaches_the_poll_at_the_other(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.do(enqueue(new_task(exclusive=True), new_task("/a/b")))
    grant = await here.take()
    poll = await there.parked(claim(interest("/a/b")))
    await here.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    await there.follower.catch_up()
    assert await got(poll) == [2]


async def test_the_end_of_a_limited_lease_reaches_all_that_the_limit_kept_back(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.do(ops.SetDirectory(path="/a", max_running=1))
    await here.do(enqueue(new_task("/a/b"), new_task("/a/c")))
    grant = await here.take("/a/b")
    poll = await there.parked(claim(interest("/a/c")))
    await here.do(ops.Release(task_id=grant.task_id, lease=grant.lease))
    await there.follower.catch_up()
    assert await got(poll) == [2]


async def test_a_slot_of_the_whole_server_reaches_everybody(tmp_path: Path) -> None:
    async with replicas(tmp_path, rules=Rules(max_running=1)) as (here, there):
        await here.do(enqueue(new_task("/a"), new_task("/b")))
        grant = await here.take("/a")
        poll = await there.parked(claim(interest("/b")))
        await here.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}"))
        await there.follower.catch_up()
        assert await got(poll) == [2]


async def test_a_task_is_asked_for_by_one_poll_of_each_server(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    polls = [await there.parked(claim(worker=f"w{number}")) for number in range(50)]
    task_id = await here.add()
    await there.follower.catch_up()
    assert there.queue.backlog == 1
    await quiet(there)
    assert [await got(poll) for poll in polls if poll.done()] == [[task_id]]


async def test_what_is_taken_already_wakes_nobody(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    _ = await there.parked(claim())
    await here.add()
    await here.take()
    commits = there.seat.commits
    await there.follower.once()
    assert (there.queue.backlog, there.seat.commits) == (0, commits)


async def test_what_nobody_asks_for_is_not_read_again(pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    async def unexpected(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(Reads, "still_waiting", unexpected)
    here, there = pair
    await here.add()
    await there.follower.once()
    _ = await there.parked(claim(interest("/elsewhere")))
    await here.add()
    await here.take()
    await there.follower.catch_up()
    assert there.told == here.told


# Wake-ups while a transaction runs


@pytest.mark.parametrize("how", ["event", "look", "both"])
async def test_what_is_heard_while_a_claim_finds_nothing_wakes_it(pair: tuple[Replica, Replica], how: str) -> None:
    """The claim was decided before the task came, and is parked after it was heard of."""
    here, there = pair
    decided = there.seat.on_disk
    there.seat.after.clear()
    poll = there.hand_in(claim(), wait_ms=LONG)
    await until(lambda: there.seat.on_disk > decided)
    task_id = await here.add()
    if how != "look":
        await there.follower.catch_up()
    if how != "event":
        there.queue.feed.last_id += 0 if how == "both" else 100
        # The directory is looked at for somebody else who is parked there.
        await there.queue.look(lambda _paths, _roots: there.seat.look(["/a"], []))
    there.seat.after.set()
    async with following(there):
        assert await got(poll) == [task_id]


async def test_what_was_read_when_the_next_transaction_runs_wakes_after_it(
    pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    poll = await there.parked(claim())
    task_id = await here.add()
    reading, go = asyncio.Event(), asyncio.Event()
    still_waiting = Reads.still_waiting

    async def slowly(reads: Reads, ids: Any) -> Any:
        reading.set()
        await go.wait()
        return await still_waiting(reads, ids)

    monkeypatch.setattr(Reads, "still_waiting", slowly)
    heard = asyncio.create_task(there.follower.catch_up())
    await reading.wait()
    there.seat.after.clear()
    tick = there.hand_in(ops.Tick())
    await there.gathered()
    go.set()
    await heard
    assert there.queue.backlog == 0
    there.seat.after.set()
    await tick
    assert await got(poll) == [task_id]


async def test_a_batch_that_fails_keeps_what_was_heard_meanwhile(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    poll = await there.parked(claim())
    there.seat.before.clear()
    there.seat.failing = OSError("no")
    doomed = there.hand_in(ops.Tick())
    await there.gathered()
    task_id = await here.add()
    await there.follower.catch_up()
    there.seat.before.set()
    with pytest.raises(Exception, match="could not be committed"):
        await doomed
    there.seat.failing = None
    async with following(there):
        assert await got(poll) == [task_id]


async def test_own_events_that_were_heard_before_their_answer_wake_nobody_again(pair: tuple[Replica, Replica]) -> None:
    """The transaction is on disk, its answer is under way, and the feed is read in between."""
    _, there = pair
    await there.do(ops.SetDirectory(path="/a", paused=True))
    _ = await there.parked(claim())
    there.seat.after.clear()
    decided = there.seat.on_disk
    created = there.hand_in(enqueue(new_task()))
    await until(lambda: there.seat.on_disk > decided)
    await there.follower.catch_up()
    assert there.told == [1, 2]
    there.seat.after.set()
    await created
    await quiet(there)
    commits = there.seat.commits
    await there.follower.catch_up()
    await quiet(there)
    assert (there.told, there.seat.commits) == ([1, 2], commits)


async def test_own_events_behind_those_of_others_are_told_in_order(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await there.do(ops.SetDirectory(path="/a", paused=True))
    _ = await there.parked(claim())
    await here.add("/elsewhere")
    await there.add()
    assert there.told == [1]
    await quiet(there)
    commits = there.seat.commits
    await there.follower.catch_up()
    await quiet(there)
    assert (there.told, there.seat.commits) == ([1, 2, 3], commits)
    await there.add()
    assert there.told == [1, 2, 3, 4]


async def test_own_events_behind_a_gap_are_told_without_waiting_for_a_ring(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    here.seat.database.rings = False
    await there.add()
    await here.follower.once()
    async with following(here):
        await until(lambda: here.seat.looks[1:])
        await here.seat.database.burn(3)
        with here.queue.feed.watch(2) as watch:
            await here.add()
            assert [event.id for event in await watch.next(20)] == [5]


# What becomes due, and output


async def test_what_is_due_of_a_server_that_is_gone_is_done_by_the_others(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    task_id = await here.add()
    await here.take()
    scheduled = await here.add("/b", delay_ms=10_000)
    for _ in range(3):
        await there.follower.once()
        assert there.queue.leases
        assert there.queue.next_due == there.time.at + 10_000 - (there.time.at - here.queue.last_commit)
        there.time.pass_(4_000)
    await there.follower.once()
    assert await there.reaper.once(there.queue.now()) == 2
    assert [await there.status(one) for one in (task_id, scheduled)] == [Status.SCHEDULED, Status.WAITING]


async def test_a_look_that_a_commit_overtook_is_not_believed(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    looked = await there.seat.look([], [])

    async def late(_paths: object, _roots: object) -> object:
        await there.add(delay_ms=HOUR)
        return looked

    await there.queue.look(late)  # type: ignore[arg-type]
    assert there.queue.next_due == there.time.at + HOUR
    await here.add()
    assert await there.queue.look(there.seat.look)


async def test_lines_of_output_ring_at_the_other(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.add()
    grant = await here.take()
    async with following(there):
        await until(lambda: there.follower._listening)
        with there.queue.bells.listen(grant.task_id) as bell, here.queue.bells.listen(grant.task_id) as own:
            line = ops.LogLine("x", LogStream.STDOUT, None)
            await here.do(ops.AppendLogs(task_id=grant.task_id, lease=grant.lease, lines=(line,), first_line=None))
            assert own.is_set()
            await asyncio.wait_for(bell.wait(), 20)


# The loop


async def test_the_follower_goes_on_after_an_error(
    pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = pair
    monkeypatch.setattr(follower, "LOOK_S", 0.001)
    events = Reads.events
    failed = asyncio.Event()

    async def fail_once(*args: object) -> object:
        if not failed.is_set():
            failed.set()
            raise OSError("no")
        return await events(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Reads, "events", fail_once)
    poll = await there.parked(claim())
    task_id = await here.add()
    async with following(there):
        assert await got(poll) == [task_id]
    assert failed.is_set()


async def test_a_doorbell_that_cannot_be_had_is_asked_for_again(
    pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, there = pair
    monkeypatch.setattr(follower, "LOOK_S", 0.001)
    tries = 0

    async def hard(tell: object) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StoreAwayError("not now")

    monkeypatch.setattr(there.seat, "listen", hard)
    async with following(there):
        await until(lambda: tries == 3 and len(there.seat.looks) > 5)
    assert tries == 3


async def test_an_embedded_store_has_nobody_to_catch_up_with(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    await here.add()
    there.queue.on_gap = None
    await there.queue.catch_up()
    assert there.told == []
