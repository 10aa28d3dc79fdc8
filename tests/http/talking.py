"""A client of WebSockets, for tests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.http.conftest import PATIENCE_S, Running


class Talk:
    """One WebSocket, as a client has it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.last: str | None = None

    async def next(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of these kinds; of any but marks when none is named."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message: dict[str, Any] = json.loads(await self.connection.recv())
                assert message.keys() == {"event", "id", "data"}
                self.last = message["id"] or self.last
                if message["event"] in kinds or (not kinds and message["event"] != "mark"):
                    return message

    async def types(self, count: int) -> list[tuple[str, int]]:
        found = [(await self.next("task_execution"))["data"] for _ in range(count)]
        return [(event["type"], event["task_id"]) for event in found]

    async def say(self, message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def closed(self) -> tuple[int, str]:
        async with asyncio.timeout(PATIENCE_S):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed as error:
                return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")


@asynccontextmanager
async def talking(server: Running, query: str = "", path: str = "/ws", **options: Any) -> AsyncIterator[Talk]:
    """A WebSocket that is told what happens from now on."""
    address = f"{server.address.replace('http', 'ws', 1)}{path}{query and '?' + query}"
    async with connect(address, max_size=None, **options) as connection:
        talk = Talk(connection)
        assert (await talk.next("mark", "reset", "error"))["event"] != "error"
        yield talk


async def refused(server: Running, query: str = "", path: str = "/ws", **options: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as caught:
        async with talking(server, query, path, **options):
            pass
    answer = caught.value.response
    return answer.status_code, json.loads(answer.body or b"{}")["error"]
