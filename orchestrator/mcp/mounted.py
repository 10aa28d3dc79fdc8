"""The MCP server as the app has it: loaded when somebody speaks MCP for the first time, and ended with the app."""

import asyncio
import importlib
from typing import TYPE_CHECKING

from litestar.types import Receive, Scope, Send

from orchestrator.mcp.guest import Guest

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager


class Mounted:
    """Its libraries take as much memory as half a server, which whoever does not use it does not pay."""

    def __init__(self) -> None:
        self._loading: asyncio.Task[StreamableHTTPSessionManager] | None = None
        self._running: asyncio.Task[None] | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send, guest: Guest) -> None:
        """Answer one request of a guest."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
        manager = await asyncio.shield(self._loading)
        facts: dict[str, object] = {**scope, "orchestrator.guest": guest}
        await manager.handle_request(facts, receive, send)  # type: ignore[arg-type]

    async def close(self) -> None:
        """End it."""
        tasks = [task for task in (self._loading, self._running) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self) -> "StreamableHTTPSessionManager":
        # Importing takes a second or two, in which others want to be answered.
        serving = await asyncio.to_thread(importlib.import_module, "orchestrator.mcp.serving")
        manager: StreamableHTTPSessionManager = serving.manager()
        runs: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._run(manager, runs))
        await runs
        return manager

    @staticmethod
    async def _run(manager: "StreamableHTTPSessionManager", runs: "asyncio.Future[None]") -> None:
        async with manager.run():
            runs.set_result(None)
            await asyncio.get_running_loop().create_future()
