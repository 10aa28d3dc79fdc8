"""A server behind a proxy is told to stop: nobody is cut off, and everybody learns where not to ask again."""

import asyncio
import select
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from orchestrator.http.holding import REST_S
from orchestrator.http.leaving import admit_no_more
from orchestrator.settings import Server as Listening
from tests.http.conftest import Running, serving, until
from tests.http.raw import Raw, request

pytestmark = pytest.mark.anyio

LONG_S = 3000
LIVE = request("GET", "/health/live")


def told_to_stop(server: Running) -> None:
    server.server.handle_exit(signal.SIGTERM, None)


async def drains(server: Running) -> None:
    await until(lambda: server.queue.draining)


async def test_it_goes_on_answering_and_says_that_it_leaves(anyio_backend: object, tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", server=Listening(port=0, drain_seconds=LONG_S)) as server:
        query: dict[str, str | int] = {"work_path": "/left", "worker_id": "w", "wait": 50}
        polling = asyncio.create_task(server.client.get("/tasks/next", params=query))
        await until(lambda: server.queue.parked)
        async with Raw.open(server.address) as known:
            await known.send(LIVE)
            status, headers, _ = await known.answer()
            assert (status, "connection" in headers) == (200, False)
            told_to_stop(server)
            held = await polling
            assert (held.status_code, held.json()["data"], held.headers["connection"]) == (200, None, "close")
            await known.send(LIVE)
            status, headers, _ = await known.answer()
            assert (status, headers["connection"]) == (200, "close")
            assert await known.rest() == b""
        # Each of these connects anew.
        ready = await server.client.get(f"{server.address}/health/ready")
        assert (ready.status_code, ready.json()["reason"], ready.headers["connection"]) == (
            503,
            "the server is stopping",
            "close",
        )
        task = await server.task("/left")
        claimed = await server.claim("/left")
        assert claimed["id"] == task["id"]
        asked = await server.client.get("/tasks/next", params=query | {"work_path": "/nothing"})
        assert (asked.status_code, asked.json()["data"]) == (200, None), "it is not held any more"
        await server.post(f"/tasks/{task['id']}/complete", {"lease": claimed["lease"]})
        async with server.client.stream("GET", "/events") as events:
            assert (await anext(events.aiter_lines())).startswith("retry: ")
        # The second time it ends at once.
        told_to_stop(server)
        await until(lambda: not server.server.started or server.server.force_exit)


async def test_who_asks_in_a_circle_goes_round_slowly(anyio_backend: object, tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", server=Listening(port=0, drain_seconds=LONG_S)) as server:
        task = await server.task("/left")
        told_to_stop(server)
        await drains(server)
        claim: dict[str, str | int] = {"work_path": "/nothing", "worker_id": "w", "wait": 50}
        begun = time.monotonic()
        for path, query in (("next", claim), (f"{task['id']}/status", {"wait": 50}), (f"{task['id']}/logs", {"wait": 50})):
            assert (await server.client.get(f"/tasks/{path}", params=query)).status_code == 200
        assert 3 * REST_S <= time.monotonic() - begun < LONG_S
        told_to_stop(server)


async def test_a_web_socket_is_sent_elsewhere(anyio_backend: object, tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", server=Listening(port=0, drain_seconds=LONG_S)) as server:
        told_to_stop(server)
        await drains(server)
        wanted = ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", f"sec-websocket-key: {'A' * 22}==")
        async with Raw.open(server.address) as client:
            await client.send(request("GET", "/ws", *wanted))
            status, headers, _ = await client.answer()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        told_to_stop(server)


async def test_who_is_connected_when_the_door_closes_is_answered(anyio_backend: object, tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", server=Listening(port=0, drain_seconds=0.01)) as server:
        async with Raw.open(server.address) as quiet, Raw.open(server.address) as half:
            await until(lambda: len(server.server.server_state.connections) == 2)
            await half.send(LIVE[:20])
            told_to_stop(server)
            await until(lambda: not any(one.is_serving() for one in server.server.servers))
            await quiet.send(LIVE)
            await half.send(LIVE[20:])
            for one in (quiet, half):
                status, headers, _ = await one.answer()
                assert (status, headers["connection"]) == (200, "close")
        async with httpx.AsyncClient() as late:
            with pytest.raises(httpx.ConnectError):
                await late.get(f"{server.address}/health/live")


def test_who_comes_late_waits_outside_and_who_is_there_is_let_in() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as first, socket.socket() as second:
        listening.setblocking(False)
        first.connect(listening.getsockname())
        admit_no_more(listening)
        second.setblocking(False)
        second.connect_ex(listening.getsockname())
        assert select.select([], [second], [], 0.3)[1] == []
        accepted, _ = listening.accept()
        with accepted:
            first.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
            with pytest.raises(BlockingIOError):
                listening.accept()
