"""WebSockets and those who would misuse them: strangers, foreign pages, limited keys, the eager, the slow, smugglers."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.typing import Subprotocol

from orchestrator.http import conversation, measuring
from orchestrator.settings import Auth, Limits
from orchestrator.settings import Server as Listening
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import PATIENCE_S, Running, serving, until
from tests.http.raw import Raw, request
from tests.http.talking import refused, talking
from tests.http.test_hints import logs, progress
from tests.http.test_slow import ends, pass_

pytestmark = pytest.mark.anyio
SUBPROTOCOL = Subprotocol("orchestrator")


@asynccontextmanager
async def locked(tmp_path: Path, **sections: Any) -> AsyncIterator[tuple[Running, Keys]]:
    """A server with keys; its client is the one who may everything."""
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP), **sections) as server:
        server.client.headers.update(bearer(BOOTSTRAP))
        yield server, Keys(server)


async def test_who_is_not_known_or_may_not_read_is_refused(tmp_path: Path) -> None:
    async with locked(tmp_path) as (server, keys):
        worker = await keys.make("worker", "work", "submit")
        assert (await refused(server))[0] == 401
        assert (await refused(server, additional_headers=bearer("orc_no_good")))[0] == 401
        assert (await refused(server, path="/api/v1/ws", additional_headers=bearer(worker)))[0] == 403
        async with talking(server, additional_headers=bearer(BOOTSTRAP)):
            pass


async def test_a_page_brings_its_session_or_a_key(tmp_path: Path) -> None:
    elsewhere = "https://elsewhere.example"
    async with locked(tmp_path, server=Listening(port=0, cors_origins=("https://friend.example",))) as (server, keys):
        key = await keys.make("page", "read")
        here = server.address
        signed_in = await server.client.post(f"{here}/login", data={"key": key}, headers={"origin": here})
        cookie = {"cookie": signed_in.headers["set-cookie"].partition(";")[0]}
        async with talking(server, additional_headers=cookie, origin=here):
            pass
        for headers, origin in (
            (cookie, elsewhere),
            (cookie, "https://friend.example"),
            (cookie, "null"),
            (cookie, None),
            ({**cookie, "sec-fetch-site": "cross-site"}, here),
            (bearer(key), elsewhere),
            ({"sec-websocket-protocol": f"orchestrator, bearer.{key}"}, elsewhere),
        ):
            for path in ("/ws", "/api/v1/ws"):
                assert (await refused(server, path=path, additional_headers=headers, origin=origin))[0] == 403, (headers, origin)
        for origin in (None, here, "https://friend.example"):
            offered = [SUBPROTOCOL, Subprotocol(f"bearer.{key}")]
            async with talking(server, subprotocols=offered, origin=origin) as talk:
                assert talk.connection.subprotocol == "orchestrator"
                assert talk.connection.response is not None
                assert key not in str(talk.connection.response.headers)
        assert (await refused(server, subprotocols=[SUBPROTOCOL, Subprotocol(f"bearer.{key}x")]))[0] == 401


async def test_who_has_no_key_and_no_page_of_ours(server: Running) -> None:
    """A server without keys lets in programs of its machine, and no page of elsewhere."""
    for origin in ("https://elsewhere.example", "http://localhost:1", "null"):
        assert (await refused(server, origin=origin))[0] == 403
    assert (await refused(server, additional_headers={"x-forwarded-for": "192.0.2.1"}))[0] == 403
    async with talking(server, origin=server.address):
        pass


@pytest.mark.parametrize(
    "asked",
    [
        "live=true",
        "work_path=/&live=true",
        "task_id=1&task_id=2&task_id=3&live=true",
        "type=task.created&type=task.progress&type=key.created",
        "after={begin}",
    ],
)
async def test_a_limited_key_hears_of_nothing_elsewhere(tmp_path: Path, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "METRICS_S", 0.02)
    monkeypatch.setattr(measuring, "_FRESH_S", 0)
    async with locked(tmp_path) as (server, keys):
        limited = bearer(await keys.make("in", "read", paths=["/in/**"]))
        begin = f"{server.app.state.store.epoch}-0"
        query = f"{asked.format(begin=begin)}&events=task_execution&events=execution_logs&events=system_metrics"
        async with (
            talking(server, query, additional_headers=limited) as talk,
            talking(
                server, "live=true&events=task_execution&events=execution_logs", additional_headers=bearer(BOOTSTRAP)
            ) as whole,
        ):
            leases = {}
            for path in ("/out", "/in"):
                task = await server.task(path)
                leases[path] = await server.claim(path)
                await progress(server, leases[path], 1)
                await logs(server, leases[path], f"a line of {path}")
            await server.task("/out", depends_on=[task["id"]])
            await server.task("/in/deep", depends_on=[leases["/out"]["id"]])
            await keys.make("another")
            heard_by_all = ""
            while any(word not in heard_by_all for word in ("a line of /out", "a line of /in", "task.progress", "key.created")):
                heard_by_all += json.dumps(await whole.next())
            await talk.say({"subscribe": {"work_path": ["/out"], "after": begin, "live": True, "events": ["execution_logs"]}})
            await talk.next("mark")
            await talk.say({"subscribe": {"after": begin, "events": ["task_execution", "system_metrics"]}})
            heard: list[dict[str, Any]] = []
            while not heard or heard[-1]["event"] != "system_metrics" or len(heard) < 5:
                heard.append(await talk.next())
        assert "/out" not in json.dumps(heard)
        assert {one["data"]["task_id"] for one in heard if one["event"] == "task_execution"} == {2, 4}
        numbers = heard[-1]["data"]
        assert sum(numbers["by_status"].values()) == 2
        assert [numbers[name] for name in ("parked_polls", "backlog", "listeners")] == [None] * 3


async def test_a_revoked_key_is_let_go(tmp_path: Path) -> None:
    async with locked(tmp_path) as (server, keys):
        key = await keys.make("page", "read")
        async with talking(server, additional_headers=bearer(key)) as talk:
            await keys.revoke("page")
            code, reason = await talk.closed()
            assert code == 1008
            assert "key" in reason
        await until(lambda: not server.app.state.slots._taken and not server.app.state.doors.held)


async def test_as_many_as_a_key_may_have(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", limits=Limits(streams_per_key=1)) as server:
        async with talking(server) as talk:
            assert (await refused(server))[0] == 429
            assert (await server.client.get("/events")).status_code == 429
            await server.task("/a")
            await talk.types(1)
        async with talking(server):
            pass


async def test_too_many_messages_or_frames_end_it(tmp_path: Path, directory: str) -> None:
    async with locked(tmp_path) as (server, keys):
        key = await keys.make("eager", "read", rate="20/h")
        async with talking(server, additional_headers=bearer(key)) as talk:
            for _ in range(30):
                await talk.say({"subscribe": {"work_path": [directory]}})
            assert (await talk.closed())[0] == 1008
        async with talking(server, additional_headers=bearer(BOOTSTRAP)) as talk:
            # A ping of nothing, masked with nothing.
            talk.connection.transport.write(b"\x89\x80\0\0\0\0" * 50_000)
            assert (await talk.closed())[0] == 1008
        for sent, code in ((b"x" * 70_000, 1009), (b'"' + b"x" * 65_000 + b'"', None)):
            async with talking(server, additional_headers=bearer(BOOTSTRAP)) as talk:
                await talk.connection.send(sent.decode())
                if code is None:
                    assert (await talk.next("error"))["data"]["code"] == "VALIDATION_ERROR"
                else:
                    assert (await talk.closed())[0] == code


async def test_who_does_not_answer_is_let_go(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "PING_S", 0.02)
    monkeypatch.setattr(conversation, "CLOSE_S", 0.02)
    async with talking(server) as talk:
        await asyncio.wait_for(await talk.connection.ping(), PATIENCE_S)
    async with raw_socket(server) as raw:
        rest = await raw.rest()
        assert rest.endswith(b"\x88\x1c\x03\xf3" + b"nothing was heard for long")


@asynccontextmanager
async def raw_socket(server: Running, *headers: str, window: int = 0) -> AsyncIterator[Raw]:
    """A connection that was switched, byte by byte."""
    async with Raw.open(server.address, window=window) as raw:
        await raw.send(handshake(*headers))
        head = await raw.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"x-request-id" in head.lower()
        yield raw


def handshake(*headers: str) -> bytes:
    key = base64.b64encode(b"0123456789abcdef").decode()
    return request(
        "GET",
        "/ws",
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        f"sec-websocket-key: {key}",
        *headers,
    )


async def test_what_is_smuggled_behind_a_handshake_is_never_a_request(server: Running, directory: str) -> None:
    task = json.dumps({"work_directory": directory, "prompt": "smuggled"}).encode()
    create = request("POST", "/api/v1/tasks", body=task)
    with_body = handshake(f"content-length: {len(create)}")
    chunked = handshake("transfer-encoding: chunked")
    for sent in (
        handshake() + create,
        with_body + create,
        chunked + b"%x\r\n" % len(create) + create + b"\r\n0\r\n\r\n",
        handshake() + handshake(),
        request("GET", "/health/live") + with_body + create,
    ):
        async with Raw.open(server.address) as raw:
            await raw.send(sent)
            await raw.reader.readuntil(b"\r\n\r\n")
            # Neither HTTP nor a frame.
            await raw.send(b"\xff" * 20)
            await raw.rest()
    async with raw_socket(server) as raw:
        await raw.send(create)
        rest = await raw.rest()
        # 1002: what came was no frame.
        assert b"\x03\xea" in rest
    assert (await server.get("/tasks", work_path=directory))["total"] == 0


async def test_who_does_not_read_is_cut_and_nothing_gathers(server: Running, directory: str) -> None:
    async with raw_socket(server, window=4096) as raw:
        (connected,) = [one for one in ends(server) if one._hear is not None]
        connected.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        most = 0
        for second in range(0, 2000, 5):
            await server.post("/tasks/batch", {"tasks": [{"work_directory": directory, "prompt": "Do it"}] * 100})
            most = max(most, connected.transport.get_write_buffer_size())
            pass_(server, second)
            if connected.transport.is_closing():
                break
        assert 0 < most < 1024 * 1024
        await until(lambda: connected not in server.server.server_state.connections)
        assert await raw.rest()
    await until(lambda: not server.app.state.board)
