"""A server without keys is for programs of its machine; one with a key is for those who have it."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from orchestrator.doors.doors import Doors
from orchestrator.doors.rates import Rates
from orchestrator.http.visitors import Visitors, heard
from orchestrator.settings import Auth, Settings
from orchestrator.settings import Server as Listening
from tests.http.conftest import Running, serving
from worker_client import AsyncClient
from worker_client.errors import Forbidden, OrchestratorError, Unauthorized

pytestmark = pytest.mark.anyio

ALLOWED = "https://board.example"
KEY = "k" * 31 + "~"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    listening = Listening(port=0, cors_origins=(ALLOWED,))
    async with serving(tmp_path_factory.mktemp("visited") / "tasks.db", server=listening) as running:
        yield running


@pytest.fixture(scope="module")
async def keyed(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    sections: dict[str, Any] = {"server": Listening(port=0, cors_origins=(ALLOWED,)), "auth": Auth(bootstrap_key=KEY)}
    async with serving(tmp_path_factory.mktemp("keyed") / "tasks.db", **sections) as running:
        yield running


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example"}, {"host": "rebound.example:8080"}, {"host": "localhost.rebound.example"},
        {"host": "127.0.0.1.rebound.example"}, {"host": "192.168.1.2:8080"}, {"host": "user@localhost"},
        {"origin": "https://elsewhere.example"}, {"origin": "http://localhost.elsewhere.example"}, {"origin": "null"},
        {"origin": "http://localhost:80@elsewhere.example"}, {"sec-fetch-site": "cross-site"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/tasks", "/tasks/next?work_path=/&worker_id=w", "/nothing"])
async def test_a_web_page_of_elsewhere_gets_nothing(server: Running, path: str, headers: dict[str, str]) -> None:
    error = await server.refused("GET", path, 403, headers=headers)
    assert error["code"] == "FORBIDDEN"
    assert "no keys" in error["message"]


async def test_it_cannot_even_ask_whether_it_may(server: Running) -> None:
    asked = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    await server.refused("OPTIONS", "/tasks", 403, headers=asked)
    for path in ("/health", "/metrics", "/schema"):
        await server.refused("GET", server.address + path, 403, headers={"host": "rebound.example"})


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost"}, {"host": "LOCALHOST:9"}, {"host": "127.0.0.1:1"}, {"host": "[::1]:8080"},
        {"origin": "http://localhost:3000"}, {"origin": "http://127.0.0.1:8080"}, {"origin": "http://[::1]:1"},
        {"origin": ALLOWED, "sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"},
    ],
)  # fmt: skip
async def test_a_program_and_a_page_of_its_own_get_answers(server: Running, headers: dict[str, str]) -> None:
    answer = await server.client.get("/tasks", headers=headers)
    assert answer.status_code == 200
    assert answer.headers.get("access-control-allow-origin") == (ALLOWED if headers.get("origin") == ALLOWED else None)


async def test_a_link_from_elsewhere_may_lead_to_a_page(server: Running) -> None:
    async with httpx.AsyncClient(base_url=server.address) as client:
        assert (await client.get("/schema", headers={"sec-fetch-site": "cross-site"})).status_code == 200


def refused(settings: Settings, path: str, **headers: str) -> OrchestratorError | None:
    """What the doors of a server say to a GET."""
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    facts = {"type": "http", "path": path, "method": "GET", "headers": sent, "client": ("127.0.0.1", 1), "scheme": "http"}
    doors = Doors(settings, Rates(lambda: 0), lambda: 0, secrets.token_hex)
    doors.load([], [])
    return Visitors(doors, frozenset({"/health"})).visit(facts, heard(sent, "GET")).refused


async def test_all_pages_are_those_that_bring_a_key() -> None:
    server = Listening(cors_origins=("*", ALLOWED))
    assert refused(Settings(server=server), "/api/v1/tasks", origin="https://any.example") is not None
    assert refused(Settings(server=server), "/api/v1/tasks", origin=ALLOWED) is None
    asked = {"origin": "https://any.example", "authorization": f"Bearer {KEY}"}
    assert refused(Settings(server=server, auth=Auth(bootstrap_key=KEY)), "/api/v1/tasks", **asked) is None


@pytest.mark.parametrize("header", ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"])
async def test_a_proxy_does_not_open_it_to_others(header: str) -> None:
    sent = {header: "203.0.113.9"}
    for proxies in ((), ("127.0.0.1",)):
        server = Listening(trusted_proxies=proxies)
        error = refused(Settings(server=server), "/api/v1/tasks", **sent)
        assert isinstance(error, Forbidden)
        assert "proxy" in error.message
        keyed = Settings(server=server, auth=Auth(bootstrap_key=KEY))
        assert refused(keyed, "/api/v1/tasks", authorization=f"Bearer {KEY}", **sent) is None


async def test_a_request_without_a_host_is_no_browser() -> None:
    settings = Settings(server=Listening(host="0:0:0:0:0:0:0:1", cors_origins=("https://any.example",)))
    assert refused(settings, "/api/v1/tasks") is None
    assert refused(settings, "/api/v1/tasks", host="[0:0:0:0:0:0:0:1]:8080", origin="https://any.example") is None
    assert refused(settings, "/api/v1/tasks", host="") is not None
    assert refused(settings, "/api/v1/tasks", host="localhost, rebound.example") is not None


@pytest.mark.parametrize(
    "credentials",
    [
        [], ["Bearer"], [KEY], [f"Basic {KEY}"], [f"Bearer {KEY[:-1]}"], [f"Bearer {KEY}~"], [f"Bearer {KEY} {KEY}"],
        [f"Bearer {KEY.upper()}"], ["Bearer \xe9"], [f"Bearer {KEY}", f"Bearer {KEY}"], ["Bearer other", f"Bearer {KEY}"],
    ],
)  # fmt: skip
async def test_without_the_key_there_is_nothing(keyed: Running, credentials: list[str]) -> None:
    headers = [(b"authorization", one.encode("latin-1")) for one in credentials]
    for path in ("/tasks", "/nothing", keyed.address + "/", keyed.address + "/metrics", keyed.address + "/schema/nothing"):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            answer = await keyed.client.request(method, path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert KEY not in answer.text
    error = await keyed.refused("GET", "/tasks", 401, headers=headers)
    assert error["code"] == "UNAUTHORIZED"
    assert "ORCHESTRATOR_API_KEY" in error["message"]
    health = await keyed.client.get(keyed.address + "/health", headers=headers)
    assert (health.status_code, health.json()["metrics"]) == (200, None)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_a_probe_needs_no_key(keyed: Running, path: str) -> None:
    assert (await keyed.client.get(keyed.address + path, headers={"host": "10.1.2.3:8080"})).status_code == 200
    assert (await keyed.client.get(f"{keyed.address}{path}/x")).status_code == 401


async def test_a_host_that_can_be_none_is_refused(keyed: Running) -> None:
    error = await keyed.refused("GET", "/tasks", 400, headers={"host": 'a"><b', "authorization": f"Bearer {KEY}"})
    assert error["details"]["field"] == "Host"


@pytest.mark.parametrize("path", ["/health/live", "/health"])
async def test_what_is_public_is_so_below_a_prefix(path: str) -> None:
    settings = Settings(server=Listening(root_path="/tasks"), auth=Auth(bootstrap_key=KEY))
    assert refused(settings, f"/tasks{path}") is None
    assert isinstance(refused(settings, path), Unauthorized)
    assert isinstance(refused(settings, f"/tasks{path}/more"), Unauthorized)


@pytest.mark.parametrize("headers", [{"host": "task-orchestrator-service"}, {"origin": "https://elsewhere.example"}, {}])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
async def test_who_has_the_key_comes_from_anywhere(keyed: Running, scheme: str, headers: dict[str, str]) -> None:
    answer = await keyed.client.get("/tasks", headers={"authorization": f"{scheme} {KEY}", **headers})
    assert answer.status_code == 200


async def test_the_sdk_brings_the_key(keyed: Running) -> None:
    async with AsyncClient(keyed.address, KEY) as client:
        task = await client.create(work_directory="/keyed", prompt="Do it")
        assert (await client.get(task.id)).prompt == "Do it"
    async with AsyncClient(keyed.address, KEY[:-1]) as client:
        with pytest.raises(Unauthorized):
            await client.get(task.id)


async def test_a_browser_may_ask_for_pages_that_the_settings_name(keyed: Running) -> None:
    asked = await keyed.client.options("/tasks", headers={"origin": ALLOWED, **PREFLIGHT})
    assert asked.is_success
    assert asked.headers["access-control-allow-origin"] == ALLOWED
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    for headers in ({"origin": "https://elsewhere.example", **PREFLIGHT}, PREFLIGHT, {"origin": ALLOWED}):
        assert (await keyed.client.options("/tasks", headers=headers)).status_code == 401
    assert (await keyed.client.get("/tasks", headers={"origin": ALLOWED, **PREFLIGHT})).status_code == 401
