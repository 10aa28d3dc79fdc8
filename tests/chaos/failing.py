"""Clients of a server whose disk fails."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx

from tests.acceptance.programs import Server

LEASE_S: Final = 4
SAID: Final = "the database takes no writes at the moment, nothing was changed; try again"


class Client:
    """Asks, and knows what was acknowledged."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.created: set[int] = set()

    async def create(self, directory: str) -> httpx.Response:
        answer = await self.http.post("/api/v1/tasks", json={"work_directory": directory, "prompt": "Do it"})
        if answer.is_success:
            self.created.add(answer.json()["data"]["id"])
        return answer

    async def claim(self, directory: str, **more: Any) -> httpx.Response:
        query = {"work_path": directory, "worker_id": "w", "wait": 0, "lease_seconds": LEASE_S, **more}
        return await self.http.get("/api/v1/tasks/next", params=query)

    async def beat(self, task: dict[str, Any]) -> httpx.Response:
        return await self.http.post(f"/api/v1/tasks/{task['id']}/heartbeat", json={"lease": task["lease"]})

    async def ready(self) -> httpx.Response:
        return await self.http.get("/health/ready")

    async def until_ready(self) -> None:
        async with asyncio.timeout(20):
            while (await self.ready()).status_code != 200:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def asking(server: Server) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        yield Client(http)


def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == ("OVERLOADED", SAID)
