"""nginx and Caddy in front of a server, at the root of a site and below a path: what they must not get in the way of."""

import asyncio
import json
import re
import shlex
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, get_args

import httpx
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from websockets.asyncio.client import connect

from orchestrator.http.events import KEEP_ALIVE_S
from orchestrator.http.server import _KEEP_ALIVE_S
from orchestrator.settings import Auth, Limits
from orchestrator.settings import Server as Listening
from tests.acceptance import programs
from tests.docs.blocks import ROOT, blocks
from tests.http.callers import BOOTSTRAP, bearer
from tests.http.conftest import Running, serving, until
from tests.http.raw import Raw, request
from tests.mcp.speaking import ERAS, Agent
from tests.proxies import CONFIG, FILES, KINDS, PREFIX, Proxy, proxied
from worker_client import AsyncClient
from worker_client.contract.fields import WaitSeconds

pytestmark = [pytest.mark.anyio, pytest.mark.system]
LARGEST: Final = Limits().max_body_bytes
SOON_S: Final = 0.5
"""A proxy that holds things back holds them for longer: until a buffer is full, or for good."""


class Through:
    """A server, and those who ask it through a proxy."""

    def __init__(self, kind: str, server: Running, proxy: Proxy) -> None:
        self.kind, self.server, self.proxy = kind, server, proxy
        self.prefix = PREFIX if kind.endswith("below") else ""

    def client(
        self, *, key: str | None = BOOTSTRAP, address: str | None = None, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.AsyncClient:
        """One with a key, at an address of this machine."""
        transport = httpx.AsyncHTTPTransport(verify=self.proxy.trusts, local_address=address)
        headers = ({} if key is None else bearer(key)) | (headers or {})
        return httpx.AsyncClient(base_url=self.proxy.url, headers=headers, transport=transport, timeout=60, **options)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module", params=KINDS)
async def through(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Through]:
    """A server as the files say it has to be set up, and the proxy in front of it."""
    kind: str = request.param
    folder = tmp_path_factory.mktemp(kind)
    listening = Listening(port=0, root_path=PREFIX if kind.endswith("below") else "", trusted_proxies=("127.0.0.1",))
    auth = Auth(mode="required", bootstrap_key=BOOTSTRAP)
    async with serving(folder / "tasks.db", server=listening, auth=auth) as server:
        with proxied(kind, folder, server.address.removeprefix("http://")) as proxy:
            yield Through(kind, server, proxy)


@pytest.fixture
async def client(through: Through) -> AsyncIterator[httpx.AsyncClient]:
    async with through.client() as client:
        yield client


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    return f"/behind/{request.node.name}".replace("[", "/").replace("]", "")


async def added(client: httpx.AsyncClient, place: str, **facts: Any) -> Any:
    answer = await client.post("api/v1/tasks", json={"work_directory": place, "prompt": "Do it", **facts})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


def polled(place: str, wait: float = 50) -> dict[str, Any]:
    return {"work_path": place, "worker_id": "w", "wait": wait}


async def test_a_poll_is_held_for_longer_than_proxies_wait_and_answered_at_once(
    through: Through, client: httpx.AsyncClient, place: str
) -> None:
    async with through.client() as other:
        polling = asyncio.create_task(other.get("api/v1/tasks/next", params=polled(place)))
        await until(lambda: through.server.queue.parked)
        # Of nginx, which is told in tests/proxies.py to wait for 1 s where our file says nothing.
        await asyncio.sleep(2.5)
        assert not polling.done()
        created = time.monotonic()
        task = await added(client, place)
        answer = await polling
        assert time.monotonic() - created < SOON_S
    assert answer.json()["data"]["id"] == task["id"]


def test_what_proxies_wait_is_more_than_the_server_does() -> None:
    longest = get_args(WaitSeconds)[1].le
    said = (CONFIG / "nginx/orchestrator-proxy.conf").read_text()
    for name in ("proxy_read_timeout", "proxy_send_timeout"):
        (seconds,) = re.findall(rf"(?m)^{name} (\d+)s;", said)
        assert int(seconds) >= max(longest, KEEP_ALIVE_S) + 20
    # It is the proxy that ends a connection which nobody uses, never the server.
    for kind, file in FILES.items():
        directive = "keepalive_timeout" if kind.startswith("nginx") else "keepalive"
        (seconds,) = re.findall(rf"(?m)^\s*{directive} (\d+)s;?$", file.read_text())
        assert int(seconds) < _KEEP_ALIVE_S, file


@pytest.mark.parametrize("through", ["nginx"], indirect=True)
async def test_the_test_would_see_a_proxy_that_does_not_wait(tmp_path: Path, through: Through, place: str) -> None:
    """nginx without the line that has it wait answers 504: so the poll above is held because of that line."""
    with proxied("nginx", tmp_path, through.server.address.removeprefix("http://")) as proxy:
        snippet = tmp_path / "snippets/orchestrator-proxy.conf"
        snippet.write_text(snippet.read_text().replace("proxy_read_timeout 75s;", ""))
        proxy.process.send_signal(1)
        # Who keeps a connection may stay with the process of before.
        headers = bearer(BOOTSTRAP) | {"connection": "close"}
        async with httpx.AsyncClient(base_url=proxy.url, headers=headers, verify=proxy.trusts, timeout=60) as client:
            async with asyncio.timeout(30):
                while (await client.get("/api/v1/tasks/next", params=polled(place, 3))).status_code != 504:
                    pass


async def test_who_hangs_up_is_given_nothing(through: Through, client: httpx.AsyncClient, place: str) -> None:
    async with through.client() as other:
        polling = asyncio.create_task(other.get("api/v1/tasks/next", params=polled(place)))
        await until(lambda: through.server.queue.parked)
        polling.cancel()
        await asyncio.wait({polling})
    await until(lambda: not through.server.queue.parked)
    task = await added(client, place)
    answer = await client.get("api/v1/tasks/next", params=polled(place, 0))
    assert answer.json()["data"]["id"] == task["id"]


async def test_events_come_when_they_happen(through: Through, client: httpx.AsyncClient, place: str) -> None:
    async with through.client() as other, other.stream("GET", "api/v1/events", params={"work_path": place}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("retry: ")
        for _ in range(3):
            sent = time.monotonic()
            task = await added(client, place)
            async with asyncio.timeout(5):
                while not (line := await anext(lines)).startswith("data: "):
                    pass
            assert time.monotonic() - sent < SOON_S
            assert json.loads(line.removeprefix("data: "))["task_id"] == task["id"]


async def test_a_web_socket(through: Through, client: httpx.AsyncClient, place: str) -> None:
    address = f"{through.proxy.url.replace('https', 'wss', 1)}/ws?work_path={place}"
    async with connect(address, ssl=through.proxy.trusts, additional_headers=bearer(BOOTSTRAP), proxy=None) as socket:
        assert json.loads(await socket.recv())["event"] == "mark"
        sent = time.monotonic()
        task = await added(client, place)
        async with asyncio.timeout(5):
            while (message := json.loads(await socket.recv()))["event"] == "mark":
                pass
        assert time.monotonic() - sent < SOON_S
        assert message["data"]["task_id"] == task["id"]


@pytest.mark.parametrize("era", ERAS)
async def test_agents_over_mcp(through: Through, era: str, place: str) -> None:
    async with (
        httpx2.AsyncClient(headers=bearer(BOOTSTRAP), verify=through.proxy.trusts, timeout=60) as http,
        Client(streamable_http_client(f"{through.proxy.url}/mcp", http_client=http), mode=era) as connection,
    ):
        agent = Agent(connection)
        assert "task_next" in await agent.tools()
        waiting = asyncio.create_task(agent("task_next", work_path=place, worker_id="w", wait_s=50))
        await until(lambda: through.server.queue.parked)
        async with through.client() as client:
            task = await added(client, place)
        assert (await waiting)["task"]["id"] == task["id"]


async def test_the_sdk_through_a_whole_task(through: Through, place: str) -> None:
    transport = httpx.AsyncHTTPTransport(verify=through.proxy.trusts)
    async with AsyncClient(through.proxy.url, BOOTSTRAP, transport=transport) as sdk, through.client() as client:
        task = await added(client, place)
        lease = (await client.get("api/v1/tasks/next", params=polled(place, 0))).json()["data"]["lease"]
        lines = [{"text": f"{number} {'x' * 1000}"} for number in range(500)]
        for _ in range(8):
            sent = await client.post(f"api/v1/tasks/{task['id']}/logs", json={"lease": lease, "lines": lines})
            assert sent.is_success, sent.text
        done = await client.post(f"api/v1/tasks/{task['id']}/complete", json={"lease": lease, "result": {"words": "x" * 900_000}})
        assert done.is_success, done.text
        whole = await sdk.get(task["id"])
        assert whole.result == {"words": "x" * 900_000}
        text = (await client.get(f"api/v1/tasks/{task['id']}/logs", params={"download": "true"})).text
        assert len(re.findall(r"(?m)\d+ x{1000}$", text)) == 4000


async def test_what_is_too_large_is_refused_by_the_server(through: Through, client: httpx.AsyncClient) -> None:
    answer = await client.post("api/v1/tasks", content=b" " * (LARGEST + 1), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "PAYLOAD_TOO_LARGE"
    assert str(LARGEST) in answer.json()["error"]["message"]


async def test_the_trail_has_the_address_that_asked_and_no_other(through: Through, client: httpx.AsyncClient) -> None:
    forged = {"X-Forwarded-For": "198.51.100.7", "Forwarded": "for=198.51.100.8", "X-Real-IP": "198.51.100.9"}
    for address in ("127.0.0.1", "127.0.0.3"):
        name = f"from-{address}"
        async with through.client(address=address, headers=forged) as other:
            made = await other.post("api/v1/auth/keys", json={"name": name, "scopes": ["read"]})
            assert made.status_code == 201, made.text
        trail = (await client.get("api/v1/audit", params={"type": "key.created"})).json()["data"]
        (found,) = [one for one in trail["items"] if one["data"].get("name") == name]
        assert found["origin"] == address


async def test_an_empty_part_of_an_address_is_not_folded_away(through: Through, client: httpx.AsyncClient, place: str) -> None:
    task = await added(client, place)
    for path in ("api/v1/tasks//cancel", "api/v1//tasks/cancel", "/api/v1/tasks/%2Fcancel"):
        answer = await client.post(path, json={"all": True})
        assert answer.status_code == 404, path
    assert (await client.get(f"api/v1/tasks/{task['id']}")).json()["data"]["status"] == "waiting"


@pytest.mark.parametrize("name", ["a b", "100%", "50 % \u4e2d\u6587?", "a%2Eb", "x#1"])
async def test_names_in_addresses_arrive_as_they_are(through: Through, client: httpx.AsyncClient, name: str) -> None:
    told = await client.post(f"api/v1/workers/{httpx.QueryParams({'': name}).__str__()[1:].replace('+', '%20')}/drain")
    assert told.is_success, told.text
    assert told.json()["data"]["worker_id"] == name


async def test_one_signs_in_and_all_that_pages_name_is_there(through: Through, place: str) -> None:
    async with through.client(key=None, headers={"accept": "text/html"}, follow_redirects=True) as browser:
        host = f"https://localhost:{through.proxy.port}"
        first = await browser.get("tasks?q=a")
        assert str(first.url).startswith(f"{through.proxy.url}/login?next=")
        origin = {"origin": host}
        form = {"key": BOOTSTRAP, "next": "/tasks?q=a"}
        page = await browser.post("login", data=form, headers=origin)
        assert str(page.url) == f"{through.proxy.url}/tasks?q=a"
        (cookie,) = browser.cookies.jar
        assert (cookie.path, cookie.secure) == (through.prefix or "/", True)
        named = set(re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text))
        assert len(named) > 10
        assert {one for one in named if not one.startswith(f"{through.prefix}/")} == set()
        shown = [one.replace("&amp;", "&") for one in named if "/do/" not in one and not one.endswith("/logout")]
        for address in shown:
            found = await browser.get(host + address)
            assert found.status_code == 200, address
            assert "strict-transport-security" in found.headers
        done = await browser.post("do/prefer", data={"theme": "dark", "back": f"{through.prefix}/tasks"}, headers=origin)
        assert str(done.url) == f"{through.proxy.url}/tasks"
        other = await browser.post("do/prefer", data={"theme": "dark", "back": "/"}, headers={"origin": "https://evil.example"})
        assert other.status_code in {401, 403}


@pytest.mark.parametrize("through", ["nginx-below", "caddy-below"], indirect=True)
async def test_nothing_is_there_beside_the_prefix(through: Through) -> None:
    async with through.client(follow_redirects=False) as client:
        host = f"https://localhost:{through.proxy.port}"
        for path in ("/api/v1/tasks", "/health/live", "/tasksapi/v1/tasks", "/"):
            answer = await client.get(host + path)
            assert "application/json" not in answer.headers.get("content-type", ""), path
        moved = await client.get(f"{host}/tasks")
        assert (moved.is_redirect, moved.headers["location"]) == (True, "/tasks/")


async def test_raw_addresses_lead_nowhere_else(through: Through, client: httpx.AsyncClient, place: str) -> None:
    """What a proxy and a server read differently is where one gets past the other."""
    await added(client, place)
    port = through.proxy.port
    async with Raw.open(f"http://127.0.0.1:{port}") as plain:
        await plain.send(request("GET", "/health/live"))
        assert b"alive" not in await plain.rest()
    for between in ("/tasks/../", "/tasks/%2e%2e/", "/tasks/..%2f", "/x/../tasks/../"):
        path = f"{between}api/v1/tasks"
        reader, writer = await asyncio.open_connection("localhost", port, ssl=through.proxy.trusts)
        try:
            key = f"authorization: Bearer {BOOTSTRAP}"
            writer.write(request("GET", path, key, "connection: close"))
            answer = await reader.read()
        finally:
            writer.close()
        assert answer.startswith(b"HTTP/1.1 "), path
        assert not (through.prefix and b'"success":true' in answer), path


def test_the_page_has_what_is_tried_here() -> None:
    page = ROOT / "docs/howto/reverse-proxy.md"
    files = [file.read_text() for file in [*FILES.values(), CONFIG / "nginx/orchestrator-proxy.conf"]]
    shown = [block for block in blocks(page) if block.language in {"nginx", "caddyfile"}]
    assert len(shown) == 6
    assert [str(block) for block in shown if not any(block.text.rstrip() in file for file in files)] == []


def test_the_page_has_commands_that_there_are(tmp_path: Path) -> None:
    page = ROOT / "docs/howto/reverse-proxy.md"
    said = "".join(block.text for block in blocks(page) if block.kind == "tested" and block.language == "sh")
    lines = [line for line in said.splitlines() if not line.startswith("export ")]
    ours = [line for line in lines if line.startswith("orchestrator ")]
    assert len(ours) == 3
    (tmp_path / "Caddyfile").write_text(FILES["caddy"].read_text())
    assert {line.split()[0] for line in lines} == {"orchestrator", "nginx", "systemctl", "caddy"}
    with programs.serving(tmp_path) as server:
        for line in ours:
            ran = server.run(*shlex.split(line)[1:])
            assert ran.returncode == 0, (line, ran.stderr)
        assert '"origin"' in ran.stdout
