"""Group commit and parked polls over a real store."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Created
from orchestrator.domain.principal import OPEN, SYSTEM
from orchestrator.domain.rules import Rules
from tests.rig import HOUR, claim, enqueue, interest, meddle, new_task
from tests.serving import LONG, Server, grants
from worker_client.contract.enums import Status
from worker_client.errors import Internal, Overloaded

pytestmark = pytest.mark.anyio


# What is taken, and what is shed


async def test_overload_sheds_creates_and_claims_but_never_lease_holders(tmp_path: Path) -> None:
    server = Server("sqlite", tmp_path, backlog_limit=4)
    await server.queue.start()
    task_id = await server.add()
    grant = await server.take()
    taken = [server.queue.submit(enqueue(new_task()), OPEN) for _ in range(4)]
    refused = [server.queue.submit(op, OPEN) for op in (enqueue(new_task()), claim())]
    held = [server.queue.submit(ops.Heartbeat(task_id=task_id, lease=grant.lease), OPEN) for _ in range(20)]
    done = server.queue.submit(ops.Complete(task_id=task_id, lease=grant.lease), OPEN)
    for future in refused:
        with pytest.raises(Overloaded) as refusal:
            await future
        assert refusal.value.retry_after > 0
    await asyncio.gather(*taken, *held, done)
    assert await server.status(task_id) is Status.COMPLETED
    assert server.metrics.operations_shed == 2
    await server.add()
    await server.queue.stop()
    with pytest.raises(Overloaded):
        await server.do(enqueue(new_task()))


async def test_large_batches_are_cut_but_lose_nothing(tmp_path: Path) -> None:
    server = Server("sqlite", tmp_path, batch_weight=10)
    await server.queue.start()
    outcomes = await asyncio.gather(*(server.do(enqueue(*(new_task() for _ in range(n)))) for n in (30, 3, 8, 9, 1)))
    ids = [task_id for outcome in outcomes if isinstance(outcome, Created) for task_id, _ in outcome.tasks]
    assert ids == list(range(1, 52))
    await server.queue.stop()


class Poison(ops.Operation, frozen=True, kw_only=True):
    """No rule knows it."""

    phase = ops.Phase.CHANGE


async def test_one_poison_operation_does_not_fail_the_others(server: Server) -> None:
    good = [server.queue.submit(enqueue(new_task(f"/{n}")), OPEN) for n in range(5)]
    bad = server.queue.submit(Poison(), OPEN)
    more = server.queue.submit(claim(interest("/3")), OPEN)
    with pytest.raises(Internal):
        await bad
    created = [(await one).tasks[0] for one in good]  # type: ignore[attr-defined]
    assert [new for _, new in created] == [True] * 5
    assert grants(await more) == [created[3][0]]
    assert server.queue.failing is None


async def test_a_row_that_another_writer_changed_is_read_again(server: Server) -> None:
    task_id = await server.add()
    await meddle(server.store, "UPDATE tasks SET version = version + 1, title = 'foreign'")
    await server.do(ops.Cancel(task_id=task_id))
    head = (await server.view(task_id)).head
    assert (head.status, head.title) == (Status.CANCELLED, "foreign")


async def test_a_heartbeat_beats_its_expiry(server: Server) -> None:
    task_id = await server.add()
    grant = await server.take(lease_ms=1_000)
    server.time.pass_(2_000)
    expire = server.queue.submit(ops.Expire(), SYSTEM)
    beat = server.queue.submit(ops.Heartbeat(task_id=task_id, lease=grant.lease), OPEN)
    await asyncio.gather(expire, beat)
    assert await server.status(task_id) is Status.RUNNING


# Parked polls


async def test_a_new_task_meets_its_parked_asker(server: Server) -> None:
    poll = await server.parked(claim())
    before = sum(server.metrics.commit_batch_size.counts)
    task_id = await server.add()
    assert grants(await poll) == [task_id]
    assert sum(server.metrics.commit_batch_size.counts) - before <= 2
    assert server.queue.parked == 0


async def test_a_poll_without_wait_is_answered_at_once(server: Server) -> None:
    assert grants(await server.do(claim())) == []
    assert server.queue.parked == 0


async def test_a_parked_poll_is_answered_when_its_time_is_over(server: Server) -> None:
    assert grants(await server.queue.submit(claim(), OPEN, wait_ms=30)) == []
    assert server.queue.parked == 0


async def test_a_claim_cancelled_before_its_batch_takes_nothing(server: Server) -> None:
    task_id = await server.add()
    server.queue.submit(claim(), OPEN).cancel()
    await server.do(ops.Tick())
    head = (await server.view(task_id)).head
    assert (head.status, head.lease_no) == (Status.WAITING, 0)


async def test_a_claim_cancelled_during_its_batch_gives_the_task_back(server: Server) -> None:
    task_id = await server.add()
    asked = server.queue.submit(claim(), OPEN)
    await server.gathered()
    assert asked.cancel()
    await server.do(ops.Tick())
    await server.do(ops.Tick())
    head = (await server.view(task_id)).head
    assert (head.status, head.lease_no, head.attempt) == (Status.WAITING, 1, 0)


async def test_a_parked_poll_cancelled_while_it_asks_gives_the_task_to_the_next(server: Server) -> None:
    first, second = await server.parked(claim()), await server.parked(claim(worker="w2"))
    created = server.queue.submit(enqueue(new_task()), OPEN)
    await server.gathered()
    first.cancel()
    await created
    assert grants(await second) == [1]
    head = (await server.view(1)).head
    assert (head.worker_id, head.attempt) == ("w2", 1)
    assert server.queue.parked == 0


async def test_the_same_poll_again_takes_the_place_of_the_earlier(server: Server) -> None:
    first = await server.parked(claim(poll_id="p"))
    second = server.queue.submit(claim(poll_id="p"), OPEN, wait_ms=LONG)
    assert grants(await first) == []
    task_id = await server.add()
    assert grants(await second) == [task_id]


async def test_what_a_superseded_poll_was_given_is_not_lost(server: Server) -> None:
    """The earlier poll is already in a transaction when its client asks again, and then hangs up for good."""
    task_id = await server.add()
    first = server.queue.submit(claim(poll_id="p"), OPEN, wait_ms=LONG)
    await server.gathered()
    second = server.queue.submit(claim(poll_id="p"), OPEN, wait_ms=LONG)
    second.cancel()
    assert grants(await first) == []
    await server.do(ops.Tick())
    await server.do(ops.Tick())
    head = (await server.view(task_id)).head
    assert (head.status, head.attempt) == (Status.WAITING, 0)


async def test_drain_answers_parked_polls_and_takes_reports(server: Server) -> None:
    task_id = await server.add("/b")
    grant = await server.take("/b")
    polls = [await server.parked(claim(worker=f"w{n}")) for n in range(20)]
    server.queue.drain()
    assert [grants(outcome) for outcome in await asyncio.gather(*polls)] == [[]] * 20
    assert grants(await server.queue.submit(claim(), OPEN, wait_ms=LONG)) == []
    await server.do(ops.Complete(task_id=task_id, lease=grant.lease))
    assert server.queue.draining
    assert server.queue.parked == 0


async def test_stop_commits_what_was_submitted(tmp_path: Path) -> None:
    server = Server("sqlite", tmp_path)
    await server.queue.start()
    submitted = [server.queue.submit(enqueue(new_task()), OPEN) for _ in range(50)]
    await server.queue.stop()
    assert all(isinstance(outcome, Created) for outcome in await asyncio.gather(*submitted))
    assert not server.queue.alive


async def test_a_refusal_of_a_parked_poll_ends_it(server: Server) -> None:
    """Its poll_id stands for another question by the time that it asks again."""
    poll = await server.parked(claim(poll_id="p"))
    server.queue._newest.clear()
    await server.add("/b")
    await server.queue.submit(claim(interest("/b"), poll_id="p"), OPEN)
    await server.add("/a")
    with pytest.raises(Exception, match="poll_id"):
        await poll
    assert server.queue.parked == 0


async def test_the_end_of_a_lease_reaches_all_that_its_limit_kept_back(server: Server) -> None:
    await server.do(ops.SetDirectory(path="/a", max_running=1))
    task_id = await server.add("/a/b")
    grant = await server.take("/a/b")
    beside = await server.add("/a/c")
    poll = await server.parked(claim(interest("/a/c"), worker="w2"))
    await server.do(ops.Complete(task_id=task_id, lease=grant.lease))
    assert grants(await poll) == [beside]


@pytest.mark.parametrize("how", [ops.Cancel, ops.Delete, ops.Update], ids=lambda op: op.__name__)
async def test_an_exclusive_task_that_gives_up_lets_those_behind_it_go(server: Server, how: type[ops.Operation]) -> None:
    await server.add("/a")
    await server.take("/a", lease_ms=HOUR)
    patient, behind = await server.add("/a", exclusive=True), await server.add("/a")
    for _ in range(10):
        server.time.pass_(4_000)
        await server.do(ops.Tick())
    poll = await server.parked(claim(worker="w2"))
    moved: dict[str, Any] = {"path": "/elsewhere"} if how is ops.Update else {}
    await server.do(how(task_id=patient, **moved))
    assert grants(await poll) == [behind]


async def test_the_end_of_any_lease_reaches_all_when_the_server_is_full(server: Server) -> None:
    server.queue.rules = Rules(max_running=1)
    task_id = await server.add("/a")
    grant = await server.take("/a")
    far = await server.add("/far")
    poll = await server.parked(claim(interest("/far"), worker="w2"))
    await server.do(ops.Complete(task_id=task_id, lease=grant.lease))
    assert grants(await poll) == [far]
