"""Clients that take their time: what they do not finish is given up, and nobody else notices."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.http.connections import Protocol, sweep
from orchestrator.settings import Limits
from tests.http.conftest import Running, serving, until
from tests.http.raw import PATIENCE_S, Raw, request

pytestmark = pytest.mark.anyio

TASK = json.dumps({"work_directory": "/slow", "prompt": "Do it"}).encode()
CREATE = request("POST", "/api/v1/tasks", "content-type: application/json", body=TASK)
HEAD, BODY = CREATE[: -len(TASK)], TASK


@pytest.fixture
async def raw(server: Running) -> AsyncIterator[Raw]:
    async with Raw.open(server.address) as connected:
        yield connected


@pytest.fixture
async def narrow(server: Running) -> AsyncIterator[tuple[Raw, Protocol]]:
    """A client that takes little at once, and the server's end of it."""
    async with Raw.open(server.address, window=4096) as raw:
        await raw.send(request("GET", "/health/live"))
        await raw.answer()
        connected = connection(server, raw)
        connected.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield raw, connected


def pass_(server: Running, seconds: float) -> None:
    """What the server does about its connections so many seconds from now."""
    now = asyncio.get_running_loop().time()
    sweep(server.server.server_state.connections, now + seconds, server.app.state.settings.limits)


def ends(server: Running) -> list[Protocol]:
    """The server's ends of all connections."""
    return [one for one in server.server.server_state.connections if isinstance(one, Protocol)]


def connection(server: Running, client: Raw) -> Protocol:
    """The server's end of one."""
    return next(one for one in ends(server) if one.client and one.client[1] == client.port)


async def heard(server: Running, count: int) -> None:
    """Let the server get so many bytes of what is not whole yet."""
    await until(lambda: any(one._heard == count for one in ends(server)))


async def got(connected: Protocol, count: int) -> None:
    """Let the server get so many bytes of a body."""
    await until(lambda: connected._body == count)


async def total(server: Running) -> int:
    found: int = (await server.get("/tasks", work_path="/slow", limit=1))["total"]
    return found


async def comes_to_be(server: Running, task_id: int, status: str) -> None:
    """Let a task get a status."""
    async with asyncio.timeout(PATIENCE_S):
        while (await server.get(f"/tasks/{task_id}"))["status"] != status:
            pass


async def test_who_says_nothing_is_let_go_without_a_word(server: Running, raw: Raw) -> None:
    await until(lambda: any(one.scope is None for one in ends(server)))
    pass_(server, 9)
    assert not raw.reader.at_eof()
    pass_(server, 11)
    assert await raw.rest() == b""


async def test_half_of_the_headers(server: Running, raw: Raw) -> None:
    await raw.send(HEAD[:40])
    await heard(server, 40)
    pass_(server, 9)
    await raw.send(HEAD[40:60])
    await heard(server, 60)
    pass_(server, 11)
    status, error = await raw.refusal()
    assert (status, error["code"]) == (408, "VALIDATION_ERROR")
    assert "headers" in error["message"]
    assert await raw.rest() == b""


async def test_a_pause_in_a_body(server: Running, raw: Raw) -> None:
    before = await total(server)
    await raw.send(HEAD, BODY[:10])
    await heard(server, len(HEAD) + 10)
    pass_(server, 1)
    pass_(server, 10)
    await raw.send(BODY[10:12])
    await heard(server, len(HEAD) + 12)
    pass_(server, 20)
    pass_(server, 29)
    pass_(server, 31)
    status, error = await raw.refusal()
    assert status == 408
    assert "no more of its body came for 10 seconds" in error["message"]
    assert await raw.rest() == b""
    assert await total(server) == before


async def test_a_body_without_end(server: Running, raw: Raw) -> None:
    await raw.send(request("POST", "/api/v1/tasks", "transfer-encoding: chunked"))
    for second in range(0, 60, 5):
        await raw.send(b"1\r\n \r\n")
        await got(connection(server, raw), second // 5 + 1)
        pass_(server, second)
    pass_(server, 61)
    status, error = await raw.refusal()
    assert status == 408
    assert "not whole within 60 seconds" in error["message"]


async def test_who_is_slow_but_goes_on_is_served(server: Running, raw: Raw) -> None:
    for start in range(0, len(CREATE), 50):
        await raw.send(CREATE[start : start + 50])
        pass_(server, 1)
    status, _, body = await raw.answer()
    assert (status, json.loads(body)["data"]["prompt"]) == (201, "Do it")
    await raw.send(CREATE)
    assert (await raw.answer())[0] == 201


async def test_who_waits_for_the_server_is_not_cut_off(server: Running) -> None:
    async with Raw.open(server.address) as poll, Raw.open(server.address) as reader:
        await _waited(server, poll, reader)


async def _waited(server: Running, poll: Raw, reader: Raw) -> None:
    await poll.send(request("GET", "/api/v1/tasks/next?work_path=/slow/poll&worker_id=w&wait=50"))
    await reader.send(request("GET", "/api/v1/events?work_path=/slow/poll"))
    await reader.reader.readuntil(b"id: ")
    await until(lambda: server.queue.parked)
    for seconds in range(0, 600, 50):
        pass_(server, seconds)
    async with Raw.open(server.address) as creator:
        await creator.send(request("POST", "/api/v1/tasks", body=b'{"work_directory": "/slow/poll", "prompt": "Do it"}'))
        assert (await creator.answer())[0] == 201
    status, _, body = await poll.answer()
    assert (status, json.loads(body)["data"]["work_directory"]) == (200, "/slow/poll")
    await reader.reader.readuntil(b"task.created")


@pytest.mark.parametrize("more", [b"", b"\r\n\r\n"])
async def test_who_asks_nothing_more_is_let_go(server: Running, raw: Raw, more: bytes) -> None:
    for _ in range(2):
        await raw.send(request("GET", "/health/live"))
        assert (await raw.answer())[0] == 200
        await raw.send(more)
        pass_(server, 74)
    pass_(server, 76)
    assert await raw.rest() == b""


async def test_who_never_sends_the_body_of_what_was_answered(server: Running, raw: Raw) -> None:
    await raw.send(request("GET", "/health/live", "content-length: 100"))
    assert (await raw.answer())[0] == 200
    connected = connection(server, raw)
    for sent in range(4):
        await raw.send(b"x")
        await got(connected, sent + 1)
        pass_(server, 15 * sent)
    assert not raw.reader.at_eof()
    pass_(server, 61)
    assert await raw.rest() == b""


async def test_who_does_not_read_the_answer(server: Running, narrow: tuple[Raw, Protocol]) -> None:
    raw, connected = narrow
    await raw.send(request("GET", "/schema/openapi.json"))
    await until(connected.transport.get_write_buffer_size)
    pass_(server, 0)
    pass_(server, 29)
    assert connected in server.server.server_state.connections
    pass_(server, 31)
    await until(lambda: connected not in server.server.server_state.connections)


async def test_who_hangs_up_instead_of_reading_is_given_nothing(
    server: Running, narrow: tuple[Raw, Protocol], directory: str
) -> None:
    raw, connected = narrow
    large = await server.task("/large", prompt="x" * 500_000)
    task = await server.task(directory)
    claim = request("GET", f"/api/v1/tasks/next?work_path={directory}&worker_id=w&wait=0")
    await raw.send(request("GET", f"/api/v1/tasks/{large['id']}"), claim)
    await until(lambda: connected.flow.write_paused)
    await comes_to_be(server, task["id"], "running")
    raw.writer.transport.abort()
    await comes_to_be(server, task["id"], "waiting")


async def test_who_reads_slowly_gets_it_all(server: Running, narrow: tuple[Raw, Protocol]) -> None:
    raw, connected = narrow
    whole = (await server.client.get(f"{server.address}/schema/openapi.json")).content
    await raw.send(request("GET", "/schema/openapi.json", "connection: close"))
    await until(connected.transport.get_write_buffer_size)
    found, seconds = b"", 0
    while part := await raw.reader.read(2**16):
        found += part
        pass_(server, seconds := seconds + 1)
    assert seconds > 31
    assert found.partition(b"\r\n\r\n")[2] == whole


async def test_who_does_not_read_events(server: Running, narrow: tuple[Raw, Protocol]) -> None:
    raw, connected = narrow
    await raw.send(request("GET", "/api/v1/events"))
    await raw.reader.readuntil(b"id: ")
    for second in range(0, 1000, 5):
        # The kernel may still take some, which counts as progress; in the end it takes no more.
        while not connected.transport.get_write_buffer_size() and not connected.transport.is_closing():
            await server.post("/tasks/batch", {"tasks": [{"work_directory": "/slow/e", "prompt": "Do it"}] * 100})
        pass_(server, second)
        if connected.transport.is_closing():
            break
    await until(lambda: connected not in server.server.server_state.connections)


async def test_thousands_of_events_do_not_gather_for_who_does_not_read(server: Running, narrow: tuple[Raw, Protocol]) -> None:
    raw, connected = narrow
    await raw.send(request("GET", "/api/v1/events"))
    await raw.reader.readuntil(b"id: ")
    made: set[int] = set()
    most = 0
    for _ in range(20):
        batch = {"tasks": [{"work_directory": "/slow/many", "prompt": "Do it"}] * 500}
        made |= {task["id"] for task in (await server.post("/tasks/batch", batch))["tasks"]}
        most = max(most, connected.transport.get_write_buffer_size())
    # A page of events at the most, on top of what the transport holds.
    assert 0 < most < 512 * 1024
    pass_(server, 0)
    pass_(server, 31)
    await until(lambda: connected not in server.server.server_state.connections)
    first = re.findall(rb"id: (\S+)\ndata: .*?\"task_id\":(\d+),.*\n\n", await raw.rest())
    assert 0 < len(first) < len(made)
    rest: set[int] = set()
    async with Raw.open(server.address) as again, asyncio.timeout(20):
        await again.send(request("GET", "/api/v1/events", f"last-event-id: {first[-1][0].decode()}"))
        while len(first) + len(rest) < len(made):
            line = await again.reader.readline()
            rest |= {int(task_id) for task_id in re.findall(rb"^data: .*?\"task_id\":(\d+),", line)}
    assert {int(task_id) for _, task_id in first} | rest == made


async def test_it_looks_by_itself(anyio_backend: object, tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", limits=Limits(header_seconds=0.01)) as running, Raw.open(running.address) as raw:
        assert await raw.rest() == b""
