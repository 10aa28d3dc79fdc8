"""How much a client may send, and have held."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.settings import Limits
from tests.http.conftest import Running, serving, until
from tests.http.raw import Raw, request
from worker_client import AsyncClient
from worker_client.errors import PayloadTooLarge

pytestmark = pytest.mark.anyio

MOST = 4 * 1024 * 1024
HEADERS = 64 * 1024
POST = ("content-type: application/json",)


@pytest.fixture
async def raw(server: Running) -> AsyncIterator[Raw]:
    async with Raw.open(server.address) as connected:
        yield connected


def live(*headers: str, path: str = "/health/live") -> bytes:
    return request("GET", path, *headers)


async def broken_off(raw: Raw, part: bytes) -> bool:
    """Whether the server closes long before it has read without end."""
    try:
        await raw.send(*[part] * (10 * MOST // len(part)))
    except ConnectionError:
        return True
    return False


async def test_headers_as_long_as_they_may_be(raw: Raw) -> None:
    bare = len(live("x-long: "))
    for length in (HEADERS - bare, HEADERS - bare - 1):
        await raw.send(live("x-long: " + "x" * length))
        assert (await raw.answer())[0] == 200
    await raw.send(live("x-long: " + "x" * (HEADERS - bare + 1)))
    status, error = await raw.refusal()
    assert (status, error["code"]) == (400, "VALIDATION_ERROR")
    assert "65536 bytes" in error["message"]
    assert await raw.rest() == b""


@pytest.mark.parametrize(
    "sent",
    [
        live("x-long: " + "x" * 200_000),
        live(path="/" + "x" * 200_000),
        live(*[f"x-{number}: 1" for number in range(20_000)]),
        b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nx-endless: " + b"x" * 1_000_000,
        b"GET /" + b"x" * 1_000_000,
    ],
)
@pytest.mark.parametrize("piece", [1_000, 10_000_000])
async def test_headers_that_are_too_long(server: Running, raw: Raw, sent: bytes, piece: int) -> None:
    sending = asyncio.create_task(raw.send(*(sent[at : at + piece] for at in range(0, len(sent), piece))))
    status, error = await raw.refusal()
    assert status == 400
    assert "address and the headers" in error["message"]
    await asyncio.gather(sending, raw.rest(), return_exceptions=True)


async def test_a_request_behind_a_large_body_is_taken_for_what_it_is(raw: Raw) -> None:
    body = json.dumps({"work_directory": "/limits", "prompt": "x" * 300_000}).encode()
    sending = asyncio.create_task(raw.send(request("POST", "/api/v1/tasks", *POST, body=body) + live()))
    assert [(await raw.answer())[0] for _ in range(2)] == [201, 200]
    await sending


@pytest.mark.parametrize("announced", [MOST + 1, 10**9, 10**18])
async def test_a_body_that_is_too_large_is_not_waited_for(raw: Raw, announced: int) -> None:
    await raw.send(request("POST", "/api/v1/tasks", *POST, f"content-length: {announced}", body=b"{"))
    status, error = await raw.refusal()
    assert (status, error["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert str(MOST) in error["message"]
    assert await broken_off(raw, b"x" * 2**16)


async def test_a_body_in_parts_that_is_too_large(raw: Raw) -> None:
    part = b"10000\r\n" + b" " * 2**16 + b"\r\n"
    await raw.send(request("POST", "/api/v1/tasks", *POST, "transfer-encoding: chunked"))
    for _ in range(MOST // 2**16):
        await raw.send(part)
    await raw.send(part)
    status, error = await raw.refusal()
    assert (status, error["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert await broken_off(raw, part)


@pytest.mark.parametrize(
    "parts",
    [
        [b"1\r\n \r\n"] * 40_000,
        [b"0\r\n", *[b"x-%d: y\r\n" % number for number in range(20_000)]],
        [b"0\r\nx-endless: ", *[b"y" * 1000] * 1000],
        [b"1;" + b"y" * 1_000_000],
    ],
)
async def test_a_body_with_more_around_it_than_in_it(raw: Raw, parts: list[bytes]) -> None:
    await raw.send(request("POST", "/api/v1/tasks", *POST, "transfer-encoding: chunked"))
    sending = asyncio.create_task(raw.send(*parts))
    status, error = await raw.refusal()
    assert status == 400
    assert "less than what goes around it" in error["message"]
    await asyncio.gather(sending, raw.rest(), return_exceptions=True)


async def test_who_sends_too_much_learns_of_it(server: Running) -> None:
    async with AsyncClient(server.address) as client:
        with pytest.raises(PayloadTooLarge):
            await client.create(work_directory="/limits", prompt="x" * MOST)


async def test_the_next_request_after_a_refusal_with_a_body(raw: Raw) -> None:
    await raw.send(request("POST", "/api/v1/nothing", *POST, body=b"x" * 500_000))
    assert (await raw.answer())[0] == 404
    await raw.send(live())
    assert (await raw.answer())[0] == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "GZIP", "identity, gzip", "zstd"])
async def test_a_compressed_body_is_refused_unseen(server: Running, coding: str) -> None:
    headers = {"content-encoding": coding, "content-type": "application/json"}
    body = json.dumps({"work_directory": "/limits", "prompt": "x"}).encode()
    error = await server.refused("POST", "/tasks", 400, content=body, headers=headers)
    assert error["details"]["field"] == "Content-Encoding"
    assert coding in error["message"]


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_a_body_that_says_that_it_is_not_compressed(server: Running, coding: str) -> None:
    headers = {"content-encoding": coding, "content-type": "application/json"}
    body = json.dumps({"work_directory": "/limits", "prompt": "x"}).encode()
    assert (await server.client.post("/tasks", content=body, headers=headers)).status_code == 201


@pytest.mark.parametrize("opened", [b"[", b'{"a":', b'{"prompt":['])
async def test_a_body_that_is_nested_deeply(server: Running, opened: bytes) -> None:
    headers = {"content-type": "application/json"}
    for depth in (10_000, 200_000):
        body = opened * depth
        error = await server.refused("POST", "/tasks", 400, content=body, headers=headers)
        assert error["code"] == "VALIDATION_ERROR"


async def test_there_is_no_upgrade(raw: Raw) -> None:
    await raw.send(live("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: eA=="))
    assert (await raw.answer())[0] == 200


async def test_the_body_of_an_upgrade_is_no_request(raw: Raw) -> None:
    hidden = live()
    await raw.send(request("POST", "/api/v1/tasks", "connection: upgrade", "upgrade: h2c", f"content-length: {len(hidden)}"))
    status, headers, _ = await raw.answer()
    assert (status, headers["connection"]) == (400, "close")
    assert await raw.rest() == b""


@pytest.mark.parametrize(("setting", "files"), [(2, 10_000), (15_000, 502)])
async def test_one_connection_too_many(
    anyio_backend: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: int, files: int
) -> None:
    monkeypatch.setattr("orchestrator.http.server.open_files", lambda: files)
    async with serving(tmp_path / "tasks.db", limits=Limits(connections=setting)) as full, Raw.open(full.address) as first:
        async with Raw.open(full.address) as second, Raw.open(full.address) as third:
            for one in (first, second):
                await one.send(live())
                assert (await one.answer())[0] == 200
            status, headers, body = await third.answer()
            assert (status, json.loads(body)["error"]["code"], headers["retry-after"]) == (503, "OVERLOADED", "1")
            await third.send(live())
            assert await third.rest() == b""
            await first.send(live())
            assert (await first.answer())[0] == 200
        await until(lambda: len(full.server.server_state.connections) == 1)
        async with Raw.open(full.address) as again:
            await again.send(live())
            assert (await again.answer())[0] == 200


@pytest.fixture
async def small(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    path = tmp_path_factory.mktemp("small") / "tasks.db"
    async with serving(path, limits=Limits(polls_per_key=2, streams_per_key=1)) as running:
        yield running


async def test_as_many_calls_wait_as_a_key_may_have_waiting(small: Running) -> None:
    task = await small.task("/limits/wait")
    claimed = await small.claim("/limits/wait")
    poll: dict[str, Any] = {"work_path": "/limits/nothing", "worker_id": "w", "wait": 50}
    waiting = [
        asyncio.create_task(small.client.get("/tasks/next", params=poll)),
        asyncio.create_task(small.client.get(f"/tasks/{task['id']}/status", params={"wait": 50})),
    ]
    await until(lambda: small.app.state.slots._taken["polls", ""] == 2)
    refused: list[tuple[str, Any]] = [("/tasks/next", poll), (f"/tasks/{task['id']}/logs", {"wait": 50})]
    for path, query in refused:
        error = await small.refused("GET", path, 429, params=query)
        assert error["code"] == "RATE_LIMITED"
        assert "limits.polls_per_key" in error["message"]
    # Nothing waits for these, so they need no place.
    assert await small.claim("/limits/nothing") is None
    beat = await small.post(f"/tasks/{task['id']}/heartbeat", {"lease": claimed["lease"], "wait": 50})
    assert beat["directive"] == "continue"
    await small.post(f"/tasks/{task['id']}/complete", {"lease": claimed["lease"]})
    assert (await waiting[1]).status_code == 200
    waiting[0].cancel()
    await until(lambda: not small.app.state.slots._taken)
    assert (await small.client.get("/tasks/next", params={**poll, "wait": 0.01})).status_code == 200


async def test_as_many_readers_of_events_as_a_key_may_have(small: Running) -> None:
    async with small.client.stream("GET", "/events") as stream:
        assert stream.status_code == 200
        error = await small.refused("GET", "/events", 429)
        assert "limits.streams_per_key" in error["message"]
    await until(lambda: not small.app.state.slots._taken)
    async with small.client.stream("GET", "/events") as stream:
        assert stream.status_code == 200
