"""Who waits at a spent budget is woken: at midnight, when it is raised, when an attempt is given back; also at another server."""

from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.budgets import DAY
from orchestrator.queue.causes import freed
from orchestrator.store.protocol import FeedEvent
from tests.conformance.test_following import Replica, running
from tests.rig import Time, claim, interest
from tests.serving import Server, grants

pytestmark = pytest.mark.anyio


async def spent(server: Server) -> int:
    """A directory whose one attempt of the day is over, at noon; the task that waits there."""
    server.time.at = server.time.at // DAY * DAY + DAY // 2
    await server.do(ops.SetDirectory(path="/a", daily_attempts=1))
    await server.add("/a/b")
    grant = await server.take("/a/b")
    await server.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    return await server.add("/a/b")


async def test_at_midnight(server: Server) -> None:
    task_id = await spent(server)
    poll = await server.parked(claim(interest("/a", recursive=True), "w2"))
    await server.do(ops.Promote())
    midnight = (server.time.at // DAY + 1) * DAY
    assert server.queue.next_due == midnight
    server.time.at = midnight
    await server.reaper.once(server.queue.now())
    assert grants(await poll) == [task_id]


async def test_when_it_is_raised(server: Server) -> None:
    task_id = await spent(server)
    poll = await server.parked(claim(interest("/a/b"), "w2"))
    await server.do(ops.SetDirectory(path="/a", daily_attempts=2))
    assert grants(await poll) == [task_id]


async def test_when_an_attempt_is_given_back_far_away_below_the_same_directory(server: Server) -> None:
    await server.do(ops.SetDirectory(path="/a", daily_attempts=1))
    await server.add("/a/x")
    grant = await server.take("/a/x")
    task_id = await server.add("/a/b")
    poll = await server.parked(claim(interest("/a/b"), "w2"))
    await server.do(ops.Release(task_id=grant.task_id, lease=grant.lease))
    assert grants(await poll) == [task_id]


async def test_at_another_server(tmp_path: Path) -> None:
    time = Time()
    one, two = Replica(tmp_path, time), Replica(tmp_path, time)
    async with running(one), running(two):
        task_id = await spent(two)
        poll = await one.parked(claim(interest("/a/b"), "w2"))
        time.at = (time.at // DAY + 1) * DAY
        await two.do(ops.Promote())
        assert grants(await poll) == [task_id]


def test_what_another_server_tells_of_a_new_day_frees_the_directory() -> None:
    event = FeedEvent(1, 0, "directory.budget_renewed", 0, "/a", "", None, "{}")
    assert {one.path for one in freed([event], (), everywhere=False)} == {"/a"}
