"""Clients of MCP that go away lose no task: it is somebody else's at once; and a server that stops keeps none waiting."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import pytest
from mcp.client.client import Client

from orchestrator.mcp.visit import Visit
from orchestrator.queue.commit import Queue
from tests.http.conftest import PATIENCE_S, Running, serving, until
from tests.http.raw import Raw

pytestmark = pytest.mark.anyio

ERAS: Final = {
    "2025-11-25": {},
    "2026-07-28": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(tmp_path_factory.mktemp("gone") / "tasks.db") as running:
        yield running


def asking(era: str, directory: str, **facts: Any) -> bytes:
    """A call of `task_next` as it goes over the wire."""
    arguments = {"work_path": directory, "worker_id": "gone", "wait_s": 50, **facts}
    params = {"name": "task_next", "arguments": arguments, **ERAS[era]}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    head = [
        b"POST /mcp HTTP/1.1", b"Host: localhost", b"Accept: application/json, text/event-stream",
        b"Content-Type: application/json", b"Mcp-Method: tools/call", b"Mcp-Name: task_next",
        b"MCP-Protocol-Version: " + era.encode(), b"Content-Length: %d" % len(body),
    ]  # fmt: skip
    return b"\r\n".join([*head, b"", body])


@contextmanager
def asked(server: Running, sent: bytes) -> Iterator[socket.socket]:
    """A client that has asked, and does in the very moment what a test does with it."""
    where = urlsplit(server.address)
    with socket.create_connection((where.hostname, where.port)) as client:
        client.sendall(sent)
        yield client


def cut(client: socket.socket) -> bool:
    """Close it as a process that is killed does, with what is on its way thrown away; whether it had an answer by then."""
    try:
        answered = bool(client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        answered = False
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return answered


def parked(queue: Queue) -> int:
    return len(queue._parked)


@pytest.mark.parametrize("era", ERAS)
async def test_who_goes_while_waiting_is_given_nothing(server: Running, era: str, directory: str) -> None:
    before = parked(server.queue)
    with asked(server, asking(era, directory)) as client:
        await until(lambda: parked(server.queue) > before)
        assert not cut(client)
    await until(lambda: parked(server.queue) == before)
    task = await server.task(directory)
    assert (await server.claim(directory))["id"] == task["id"]


@pytest.mark.parametrize("era", ERAS)
async def test_who_goes_as_a_task_comes_loses_none(server: Running, era: str, directory: str) -> None:
    before = parked(server.queue)
    seen = set()
    for turns in range(60):
        with asked(server, asking(era, directory)) as client:
            await until(lambda: parked(server.queue) > before)
            # At another moment each time: before it is claimed, while it is on its way, when it is written.
            creating = asyncio.create_task(server.task(directory))
            for _ in range(turns):
                await asyncio.sleep(0)
            answered = cut(client)
        task = await creating
        seen.add(answered)
        if answered:
            # It has it, as far as anybody can know.
            continue
        claimed = await server.claim(directory, wait=20)
        assert claimed["id"] == task["id"]
        await server.post(f"/tasks/{task['id']}/complete", {"lease": claimed["lease"]})
    assert False in seen


@pytest.mark.parametrize("era", ERAS)
async def test_who_goes_between_the_claim_and_its_answer_gives_it_back(
    server: Running, era: str, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await server.task(directory)
    with asked(server, asking(era, directory)) as client:

        async def cut_first(_: Visit, claimed: Any) -> None:
            assert claimed.id == task["id"]
            assert not cut(client)

        monkeypatch.setattr(Visit, "settle", cut_first)
        await until(lambda: client.fileno() < 0)
    again = await server.claim(directory, wait=20)
    assert again["id"] == task["id"]
    assert again["attempt"] == 1


async def test_who_got_an_answer_and_closes_keeps_the_task(server: Running, directory: str) -> None:
    task = await server.task(directory)
    async with Raw.open(server.address) as client:
        await client.send(asking("2025-11-25", directory))
        status, _, body = await client.answer()
    assert status == 200
    lease = json.loads(body)["result"]["structuredContent"]["task"]["lease"]
    await server.post(f"/tasks/{task['id']}/heartbeat", {"lease": lease})


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_server_that_stops_answers_those_who_wait(tmp_path: Path, mode: str) -> None:
    async with (
        asyncio.timeout(PATIENCE_S),
        serving(tmp_path / "tasks.db") as server,
        Client(f"{server.address}/mcp", mode=mode) as client,
    ):
        arguments = {"work_path": "/a", "worker_id": "w", "wait_s": 50}
        waiting = asyncio.create_task(client.call_tool("task_next", arguments))
        await until(lambda: parked(server.queue))
        server.server.stop()
        answer: Any = await waiting
        assert answer.structured_content["task"] is None


@pytest.mark.parametrize("era", ERAS)
async def test_nobody_subscribes_and_nothing_is_held_open(server: Running, era: str) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {**ERAS[era], "notifications": {}}}
    headers = {
        "mcp-protocol-version": era, "mcp-method": "subscriptions/listen", "accept": "application/json, text/event-stream",
    }  # fmt: skip
    async with httpx2.AsyncClient(timeout=PATIENCE_S) as http:
        answer = await http.post(f"{server.address}/mcp", json=call, headers=headers)
    assert answer.json()["error"]["code"] == -32601
