"""Delivery: what was claimed for somebody who has gone is claimable at once."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from tests.http.conftest import Running, until

pytestmark = pytest.mark.anyio

POLLS = 200


async def connect(server: Running) -> asyncio.StreamWriter:
    """A bare connection, that a test may cut."""
    parts = urlsplit(server.address)
    return (await asyncio.open_connection(parts.hostname, parts.port))[1]


def ask(writer: asyncio.StreamWriter, path: str, body: bytes = b"") -> None:
    method = "POST" if body else "GET"
    writer.write(f"{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)


def cut(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def test_a_parked_poll_gets_a_task_that_is_created_elsewhere(server: Running, directory: str) -> None:
    poll = asyncio.create_task(server.claim(directory, wait=30))
    await until(lambda: server.queue.parked)
    task = await server.task(directory)
    assert (await poll)["id"] == task["id"]


async def test_nothing_within_the_wait(server: Running, directory: str) -> None:
    assert await server.claim(directory, wait=0.05) is None
    assert await server.post("/tasks/claim", {"work_path": [directory], "worker_id": "w", "wait": 0}) == {
        "tasks": [],
        "drain": False,
    }


async def test_many_at_once(server: Running, directory: str) -> None:
    ids = [(await server.task(directory))["id"] for _ in range(5)]
    claim = {"work_path": [directory], "worker_id": "w", "limit": 3}
    claimed = (await server.post("/tasks/claim", claim))["tasks"]
    assert [task["id"] for task in claimed] == ids[:3]
    assert len({task["lease"] for task in claimed}) == 3


async def test_the_same_poll_gets_the_same_claim_again(server: Running, directory: str) -> None:
    await server.task(directory)
    first = await server.claim(directory, poll_id="p")
    again = await server.claim(directory, poll_id="p")
    assert (again["id"], again["lease"], again["delivery_no"]) == (first["id"], first["lease"], 2)
    query = {"work_path": directory, "worker_id": "tester", "wait": 0, "poll_id": "p", "lease_seconds": 5}
    error = await server.refused("GET", "/tasks/next", 409, params=query)
    assert (error["code"], error["details"]["field"]) == ("CONFLICT", "poll_id")


async def test_a_parked_poll_that_is_cut_leaves_its_place(server: Running, directory: str) -> None:
    writer = await connect(server)
    ask(writer, f"/tasks/next?work_path={directory}&worker_id=w&wait=50")
    await until(lambda: server.queue.parked == 1)
    cut(writer)
    await until(lambda: server.queue.parked == 0)


@pytest.mark.parametrize("moment", ["before", "while", "after"])
async def test_polls_that_are_cut_while_tasks_arrive(server: Running, directory: str, moment: str) -> None:
    polls = [await connect(server) for _ in range(POLLS)]
    for writer in polls:
        ask(writer, f"/tasks/next?work_path={directory}&worker_id=w&wait=50")
    await until(lambda: server.queue.parked == POLLS)
    tasks = [{"work_directory": directory, "prompt": "Do it"}] * POLLS
    creating = None
    if moment == "before":
        creating = asyncio.create_task(server.post("/tasks/batch", {"tasks": tasks}))
        await asyncio.sleep(0)
    for writer in polls:
        if moment == "while" and creating is None and writer is polls[POLLS // 2]:
            creating = asyncio.create_task(server.post("/tasks/batch", {"tasks": tasks}))
            await until(lambda: server.queue.backlog)
        cut(writer)
    await (creating or server.post("/tasks/batch", {"tasks": tasks}))
    await until(lambda: server.queue.parked == 0)
    claim = {"work_path": [directory], "worker_id": "other", "limit": POLLS, "wait": 20}
    got: set[int] = set()
    while len(got) < POLLS:
        claimed = (await server.post("/tasks/claim", claim))["tasks"]
        assert claimed
        assert {task["attempt"] for task in claimed} == {1}
        got |= {task["id"] for task in claimed}
    listed = await server.get("/tasks", work_path=directory, limit=POLLS)
    assert {task["worker_id"] for task in listed["items"]} == {"other"}


@pytest.mark.parametrize("how", ["next", "many"])
async def test_claims_that_are_cut_while_they_are_committed(server: Running, directory: str, how: str) -> None:
    await server.post("/tasks/batch", {"tasks": [{"work_directory": directory, "prompt": "Do it"}] * POLLS})
    body = json.dumps({"work_path": [directory], "worker_id": "w", "wait": 0}).encode()
    asking = [await connect(server) for _ in range(POLLS)]
    for writer in asking:
        if how == "next":
            ask(writer, f"/tasks/next?work_path={directory}&worker_id=w&wait=0")
        else:
            ask(writer, "/tasks/claim", body)
    await until(lambda: server.queue.backlog)
    for writer in asking:
        cut(writer)
    await until(lambda: not server.server.server_state.tasks)
    claim = {"work_path": [directory], "worker_id": "other", "limit": POLLS}
    assert len((await server.post("/tasks/claim", claim))["tasks"]) == POLLS


async def test_a_claim_whose_client_never_confirms_comes_back(server: Running, directory: str) -> None:
    task = await server.task(directory)
    first = await server.claim(directory, confirm_seconds=1)
    assert first["attempt"] == 1
    second = await server.claim(directory, wait=20, worker_id="other")
    assert (second["id"], second["attempt"], second["lease_no"]) == (task["id"], 1, 2)


async def test_a_client_that_hangs_up_with_half_a_body(server: Running) -> None:
    writer = await connect(server)
    writer.write(b"POST /api/v1/tasks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{")
    await until(lambda: server.server.server_state.tasks)
    cut(writer)
    await until(lambda: not server.server.server_state.tasks)
