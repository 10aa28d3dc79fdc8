"""HEAD tells of a GET everything but its body, and changes as little."""

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest

from tests.http.conftest import Running

pytestmark = pytest.mark.anyio

VARYING = {"date", "x-request-id", "content-length"}


@pytest.mark.parametrize(
    "path",
    [
        "/health", "/health/live", "/health/ready", "/metrics", "/schema", "/api/v1/tasks", "/api/v1/tasks/{id}",
        "/api/v1/tasks/{id}/logs?format=text", "/api/v1/statistics", "/api/v1/tasks/0", "/api/v1/nothing", "/api/v1/tasks//",
    ],
)  # fmt: skip
async def test_head_is_get_without_its_body(server: Running, directory: str, path: str) -> None:
    task = await server.task(directory)
    path = path.format(id=task["id"])
    async with httpx.AsyncClient(base_url=server.address) as client:
        got, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers.keys() == got.headers.keys()
    assert {name: head.headers[name] for name in head.headers.keys() - VARYING} == {
        name: got.headers[name] for name in got.headers.keys() - VARYING
    }


async def test_a_connection_goes_on_after_head(server: Running) -> None:
    parts = urlsplit(server.address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"HEAD /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.write(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_head_of_the_feed_ends(server: Running) -> None:
    async with asyncio.timeout(5):
        answer = await server.client.head("/events")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_head_claims_nothing(server: Running, directory: str) -> None:
    task = await server.task(directory)
    answer = await server.client.head("/tasks/next", params={"work_path": directory, "worker_id": "w"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert (await server.get(f"/tasks/{task['id']}"))["status"] == "waiting"


async def test_a_wrong_method_names_head_beside_get(server: Running) -> None:
    answer = await server.client.delete("/tasks")
    assert {"GET", "HEAD", "POST"} <= set(answer.headers["allow"].split(", "))
    assert "DELETE is not possible" in answer.json()["error"]["message"]
