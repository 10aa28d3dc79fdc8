"""An agent that speaks MCP, with the SDK's own client."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.http.callers import BOOTSTRAP, bearer
from tests.http.conftest import Running

ERAS: Final = {"legacy": "2025-11-25", "auto": "2026-07-28"}
SEVEN: Final = ["task_next", "task_heartbeat", "task_finish", "task_ask", "task_add", "task_list", "task_get"]


@asynccontextmanager
async def connected(server: Running, era: str, key: str = BOOTSTRAP) -> AsyncIterator["Agent"]:
    """An agent with a key."""
    async with (
        httpx2.AsyncClient(headers=bearer(key), timeout=60) as http,
        Client(streamable_http_client(f"{server.address}/mcp", http_client=http), mode=era) as client,
    ):
        yield Agent(client)


class Agent:
    """Calls tools, and looks whether programs and models are told the same."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, tool: str, /, **arguments: Any) -> Any:
        result: Any = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result
        assert json.loads(result.content[0].text) == result.structured_content
        return result.structured_content

    async def refused(self, tool: str, /, **arguments: Any) -> dict[str, str]:
        result: Any = await self.client.call_tool(tool, arguments)
        assert result.is_error, result
        error: dict[str, str] = result.structured_content["error"]
        assert result.content[0].text == f"{error['code']}: {error['message']}"
        return error

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self.client.list_tools()).tools]
