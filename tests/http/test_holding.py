"""Answers that are held: heartbeats, status, output."""

import asyncio
from typing import Any

import pytest

from tests.http.conftest import Running, serving, until

pytestmark = pytest.mark.anyio


def watched(server: Running) -> bool:
    return bool(server.queue.feed._watches)


async def running(server: Running, directory: str) -> Any:
    await server.task(directory)
    return await server.claim(directory, lease_seconds=60)


async def test_a_heartbeat_that_is_held_hears_of_a_cancel_at_once(server: Running, directory: str) -> None:
    task = await running(server, directory)
    beat = asyncio.create_task(server.post(f"/tasks/{task['id']}/heartbeat", {"lease": task["lease"], "wait": 50}))
    await until(lambda: watched(server))
    cancelled = await server.post(f"/tasks/{task['id']}/cancel", {"reason": "enough"})
    assert (cancelled["status"], cancelled["cancel_requested_at"] is not None) == ("running", True)
    async with asyncio.timeout(5):
        assert (await beat)["directive"] == "cancel"
    done = await server.post(f"/tasks/{task['id']}/release", {"lease": task["lease"]})
    assert done["status"] == "cancelled"


async def test_a_heartbeat_that_is_held_hears_of_the_end_of_its_lease(server: Running, directory: str) -> None:
    task = await running(server, directory)
    request = {"lease": task["lease"], "wait": 50}
    beat = asyncio.create_task(server.refused("POST", f"/tasks/{task['id']}/heartbeat", 409, json=request))
    await until(lambda: watched(server))
    await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"]})
    async with asyncio.timeout(5):
        error = await beat
    assert (error["code"], error["details"]["status"]) == ("LEASE_LOST", "completed")


async def test_a_heartbeat_is_not_held_longer_than_half_its_lease(server: Running, directory: str) -> None:
    await server.task(directory)
    task = await server.claim(directory, lease_seconds=1)
    async with asyncio.timeout(0.95):
        beat = await server.post(f"/tasks/{task['id']}/heartbeat", {"lease": task["lease"], "wait": 50})
    assert beat["directive"] == "continue"


async def test_a_heartbeat_is_not_held_past_the_time_out_of_its_task(server: Running, directory: str) -> None:
    await server.task(directory, timeout_seconds=1)
    task = await server.claim(directory, lease_seconds=60)
    async with asyncio.timeout(0.95):
        beat = await server.post(f"/tasks/{task['id']}/heartbeat", {"lease": task["lease"], "wait": 50})
    assert (beat["directive"], beat["lease_expires_at"]) == ("continue", task["lease_expires_at"])


async def test_what_a_heartbeat_carries(server: Running, directory: str) -> None:
    task = await running(server, directory)
    news = {
        "lease": task["lease"],
        "progress": {"percent": 50, "message": "half"},
        "checkpoint": {"step": 2},
        "session_id": "s-1",
        "usage": {"input_tokens": 10, "cost_usd": 0.5},
    }
    await server.post(f"/tasks/{task['id']}/heartbeat", news)
    seen = await server.get(f"/tasks/{task['id']}")
    assert (seen["progress"], seen["checkpoint"], seen["session_id"]) == (news["progress"], {"step": 2}, "s-1")
    assert seen["usage"] == {"input_tokens": 10, "cost_usd": 0.5}
    await server.post(f"/tasks/{task['id']}/heartbeat", {"lease": task["lease"], "checkpoint": None})
    seen = await server.get(f"/tasks/{task['id']}")
    assert (seen["checkpoint"], seen["progress"]["percent"]) == (None, 50)


async def test_status_is_held_until_it_is_final(server: Running, directory: str) -> None:
    task = await running(server, directory)
    assert (await server.get(f"/tasks/{task['id']}/status"))["status"] == "running"
    status = asyncio.create_task(server.get(f"/tasks/{task['id']}/status", wait=50))
    await until(lambda: watched(server))
    await server.post(f"/tasks/{task['id']}/heartbeat", {"lease": task["lease"]})
    await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"], "result": 1})
    async with asyncio.timeout(5):
        told = await status
    assert (told["status"], told["finished_at"] is not None) == ("completed", True)


async def test_status_is_not_held_longer_than_asked(server: Running, directory: str) -> None:
    task = await server.task(directory)
    assert (await server.get(f"/tasks/{task['id']}/status", wait=0.05))["status"] == "waiting"


async def test_output_is_followed(server: Running, directory: str) -> None:
    task = await running(server, directory)
    logs = f"/tasks/{task['id']}/logs"
    following = asyncio.create_task(server.get(logs, wait=50))
    await until(lambda: server.queue.bells._waiting)
    lines = ["one", {"text": "two", "stream": "stderr"}]
    assert await server.post(logs, {"lease": task["lease"], "first_line": 1, "lines": lines}) == {"stored": 2, "next_line": 3}
    async with asyncio.timeout(5):
        page = await following
    assert [(line["number"], line["stream"], line["text"]) for line in page["lines"]] == [
        (1, "stdout", "one"),
        (2, "stderr", "two"),
    ]
    assert (page["next_after"], page["final"]) == (2, False)

    again = await server.post(logs, {"lease": task["lease"], "first_line": 2, "lines": ["two", "three"]})
    assert again == {"stored": 1, "next_line": 4}
    plain = await server.client.get(logs, params={"format": "text", "after": 1})
    assert (plain.text, plain.headers["x-next-after"]) == ("two\nthree\n", "3")
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"

    following = asyncio.create_task(server.get(logs, wait=50, after=3))
    await until(lambda: server.queue.bells._waiting)
    await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"]})
    async with asyncio.timeout(5):
        assert await following == {"lines": [], "next_after": 3, "final": True}


async def test_all_that_is_held_is_answered_when_the_server_drains(tmp_path: Any) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        task = await running(server, "/drain")
        beat = asyncio.create_task(server.post(f"/tasks/{task['id']}/heartbeat", {"lease": task["lease"], "wait": 50}))
        status = asyncio.create_task(server.get(f"/tasks/{task['id']}/status", wait=50))
        follow = asyncio.create_task(server.get(f"/tasks/{task['id']}/logs", wait=50))
        poll = asyncio.create_task(server.claim("/drain/none", wait=50))
        await until(lambda: server.queue.parked and len(server.queue.feed._watches.get(task["id"], ())) == 3)
        server.queue.drain()
        async with asyncio.timeout(5):
            assert (await beat)["directive"] == "continue"
            assert (await status)["status"] == "running"
            assert (await follow)["lines"] == []
            assert await poll is None
