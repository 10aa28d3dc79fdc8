"""Which web pages may call, and what browsers are told about every answer."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from orchestrator.settings import Auth
from orchestrator.settings import Server as Listening
from tests.http.conftest import Running, serving
from tests.http.raw import Raw

pytestmark = pytest.mark.anyio

KEY = "k" * 31 + "~"
BOARD = "https://board.example"
OTHER = "https://elsewhere.example"
MAY_BEAR = {"authorization": f"Bearer {KEY}"}
ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    sections: dict[str, Any] = {"server": Listening(port=0, cors_origins=(BOARD,)), "auth": Auth(bootstrap_key=KEY)}
    async with serving(tmp_path_factory.mktemp("pages") / "tasks.db", **sections) as running:
        yield running


@pytest.mark.parametrize("path", ["/tasks", "/tasks/1/complete", "/events", "/nothing"])
async def test_a_browser_may_ask_for_a_page_that_the_settings_name(server: Running, path: str) -> None:
    answer = await server.client.options(path, headers={"origin": BOARD, **ASKS})
    assert (answer.status_code, answer.content) == (204, b"")
    told = answer.headers
    assert told.get_list("access-control-allow-origin") == [BOARD]
    assert told["access-control-allow-headers"] == ASKS["access-control-request-headers"]
    assert {"GET", "POST", "PUT", "DELETE"} <= set(told["access-control-allow-methods"].split(", "))
    assert "access-control-allow-credentials" not in told
    assert told["vary"] == "origin"


async def test_not_for_others(server: Running) -> None:
    for headers in ({"origin": OTHER, **ASKS}, {"origin": "null", **ASKS}, ASKS, {"origin": BOARD}):
        answer = await server.client.options("/tasks", headers=headers)
        assert answer.status_code == 401
        assert ("access-control-allow-origin" in answer.headers) == (headers.get("origin") == BOARD)


async def test_a_named_page_may_read_every_answer(server: Running) -> None:
    for path, status in (("/tasks", 200), ("/tasks/1", 404), ("/nothing", 404)):
        answer = await server.client.get(path, headers={"origin": BOARD, **MAY_BEAR})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, BOARD)
        assert "retry-after" in answer.headers["access-control-expose-headers"]
    refused = await server.client.get("/tasks", headers={"origin": BOARD})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, BOARD)
    async with server.client.stream("GET", "/events", headers={"origin": BOARD, **MAY_BEAR}) as stream:
        assert stream.headers["access-control-allow-origin"] == BOARD


async def test_no_other_page_may(server: Running) -> None:
    for headers in ({"origin": OTHER}, {}):
        answer = await server.client.get("/tasks", headers={**headers, **MAY_BEAR})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "origin"


async def test_every_answer_is_what_it_says(server: Running) -> None:
    paths = (
        "/tasks",
        "/nothing",
        *(server.address + path for path in ("/health/live", "/schema", "/schema/page.js", "/metrics")),
    )
    async with httpx.AsyncClient(base_url=server.client.base_url) as stranger:
        for path in paths:
            for method in ("GET", "HEAD", "OPTIONS", "POST"):
                for headers in (MAY_BEAR, {}):
                    answer = await stranger.request(method, path, headers=headers)
                    assert answer.headers.get_list("x-content-type-options") == ["nosniff"], (method, path)
                    assert "strict-transport-security" not in answer.headers
                    assert "server" not in answer.headers
    async with Raw.open(server.address) as raw:
        await raw.send(b"this is not HTTP\r\n\r\n")
        status, told, _ = await raw.answer()
        assert (status, told["x-content-type-options"]) == (400, "nosniff")


@pytest.mark.parametrize("path", ["/schema", "/login"])
async def test_a_page_is_in_nothing_of_elsewhere(server: Running, path: str) -> None:
    answer = await server.client.get(server.address + path)
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-frame-options"] == "DENY"
