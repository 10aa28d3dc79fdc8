"""A server without keys is for programs of its machine: web pages of elsewhere get nothing from it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from orchestrator.http.visitors import Visitors
from orchestrator.settings import Server as Listening
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

ALLOWED = "https://board.example"


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    listening = Listening(port=0, cors_origins=(ALLOWED,))
    async with serving(tmp_path_factory.mktemp("visited") / "tasks.db", server=listening) as running:
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


async def test_a_request_without_a_host_is_no_browser() -> None:
    visitors = Visitors("0:0:0:0:0:0:0:1", ["*"])
    assert visitors.refused("/api/v1/tasks", None, None, None) is None
    assert visitors.refused("/api/v1/tasks", b"[0:0:0:0:0:0:0:1]:8080", b"https://any.example", None) is None
    assert visitors.refused("/api/v1/tasks", b"", None, None) is not None
    assert visitors.refused("/api/v1/tasks", b"localhost, rebound.example", None, None) is not None
