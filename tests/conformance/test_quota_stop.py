"""An account runs out of quota in the middle of everything: its tasks wait for the reset, then go on in their sessions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed, Grant, Outcome
from orchestrator.domain.principal import EVERYWHERE, OPEN
from orchestrator.domain.task import Outputs
from orchestrator.loops.follower import Follower
from orchestrator.store.postgres.store import PostgresStore
from tests.rig import STORES, Time, claim, enqueue, interest, new_task
from tests.serving import LONG, Server, grants, until
from worker_client.contract.enums import Status

pytestmark = pytest.mark.anyio

ME = "claude:me@laptop"
TASKS = 20
WORKERS = ("w1", "w2", "w3")
RESET_MS = 5_000
Polls = dict[str, "asyncio.Future[Outcome]"]


@asynccontextmanager
async def servers(kind: str, directory: Path, number: int) -> AsyncIterator[list[Server]]:
    """Servers on one database, each of which hears what the others do."""
    time = Time()
    made = [Server(kind, directory, time) for _ in range(number)]
    followers = [Follower(one.queue, one.store) for one in made if isinstance(one.store, PostgresStore)]
    for one in made:
        await one.queue.start()
    tasks = [asyncio.create_task(follower.run()) for follower in followers]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in made:
            await one.queue.stop()


def wanted(worker: str, limit: int = 1) -> ops.Claim:
    return claim(interest(agent="claude", kinds=["agent"]), worker, account=ME, limit=limit, lease_ms=60_000)


def ask(server: Server, worker: str) -> "asyncio.Future[Outcome]":
    return server.queue.submit(wanted(worker), OPEN, wait_ms=LONG)


async def stopped(server: Server) -> list[int]:
    """Tasks in their sessions, all of them parked until the reset; in the order of their rank."""
    await server.do(enqueue(*(new_task(priority=number % 4) for number in range(TASKS))))
    held: list[Grant] = []
    for worker, limit in zip(WORKERS, (7, 7, 6), strict=True):
        outcome = await server.do(wanted(worker, limit))
        assert isinstance(outcome, Claimed)
        held += outcome.grants
    reset = server.time.at + RESET_MS
    for grant in held:
        session = Outputs(session_id=f"session {grant.task_id}")
        await server.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease, outputs=session, agent="claude"))
        await server.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="quota", not_before=reset, account=ME))
    return [grant.task_id for grant in held]


async def work_on(polls: Polls, at: dict[str, Server]) -> None:
    """Complete what the workers get until nothing is left."""
    done = 0
    async with asyncio.timeout(60):
        while done < TASKS:
            await until(lambda: any(poll.done() for poll in polls.values()))
            for worker in [one for one, poll in polls.items() if poll.done()]:
                server, outcome = at[worker], await polls[worker]
                assert isinstance(outcome, Claimed)
                (grant,) = outcome.grants
                view = outcome.views[grant.task_id]
                assert (view.outputs.session_id, view.head.agent) == (f"session {grant.task_id}", "claude")
                assert (view.head.attempt, view.head.lease_no) == (1, 2)
                done += 1
                await server.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
                polls[worker] = ask(server, worker)
    for poll in polls.values():
        poll.cancel()


@pytest.mark.parametrize("kind", STORES)
async def test_all_wait_for_the_reset_also_over_a_restart(tmp_path: Path, kind: str) -> None:
    async with servers(kind, tmp_path, 1) as (first,):
        order = await stopped(first)
        polls = {worker: ask(first, worker) for worker in WORKERS}
        await first.do(ops.Tick())
        assert not any(poll.done() for poll in polls.values())
        time = first.time
    assert [grants(await poll) for poll in polls.values()] == [[], [], []]
    time.pass_(RESET_MS // 2)
    server = Server(kind, tmp_path, time)
    await server.queue.start()
    polls = {worker: ask(server, worker) for worker in WORKERS}
    await server.do(ops.Tick())
    await server.reaper.once(server.queue.now())
    assert not any(poll.done() for poll in polls.values())
    assert server.queue.next_due == time.at + RESET_MS // 2
    time.pass_(RESET_MS // 2)
    await server.reaper.once(server.queue.now())
    await work_on(polls, dict.fromkeys(WORKERS, server))
    events = await server.queue.reads.events(0, 1_000, EVERYWHERE)
    assert [event.task_id for event in events if event.type == "task.claimed"] == [*order, *order]
    for task_id in order:
        head = (await server.view(task_id)).head
        assert (head.status, head.attempt) == (Status.COMPLETED, 1)
    await server.queue.stop()


async def test_who_waits_at_another_server_goes_on_too(tmp_path: Path) -> None:
    async with servers("postgres", tmp_path, 2) as (one, other):
        order = await stopped(one)
        at = {"w1": one, "w2": other, "w3": other}
        polls = {worker: ask(at[worker], worker) for worker in WORKERS}
        for server in (one, other):
            await server.do(ops.Tick())
        assert not any(poll.done() for poll in polls.values())
        await until(lambda: other.queue.next_due == one.time.at + RESET_MS)
        one.time.pass_(RESET_MS)
        # The one that will tell the other is not the one that was told of the stop.
        await other.reaper.once(other.queue.now())
        await work_on(polls, at)
        assert {(await one.view(task_id)).head.attempt for task_id in order} == {1}


async def test_another_account_goes_on_meanwhile_and_takes_its_turn(server: Server) -> None:
    await stopped(server)
    resting = [ask(server, worker) for worker in WORKERS]
    await server.do(ops.Tick())
    other = server.queue.submit(claim(interest(agent="claude", kinds=["agent"]), "w9", account="other"), OPEN, wait_ms=LONG)
    await server.do(ops.Tick())
    # It asked last, and asks for the same: those before it must not stand in for it.
    added = await server.add()
    async with asyncio.timeout(20):
        assert grants(await other) == [added]
    assert not any(poll.done() for poll in resting)
    await server.do(ops.SetAccount(account=ME))
    async with asyncio.timeout(20):
        assert [len(grants(await poll)) for poll in resting] == [1, 1, 1]
