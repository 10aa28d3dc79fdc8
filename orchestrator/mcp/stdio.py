"""The MCP server on standard input and output, for a client on the same machine that starts it."""

from collections.abc import Callable

from mcp.server.stdio import stdio_server

from orchestrator.mcp.server import built
from orchestrator.mcp.visit import Local
from worker_client.client import AsyncClient


async def run(client: AsyncClient, *, host: str, path: Callable[[str], str]) -> None:
    """Answer until standard input ends; what is asked for is asked of a server, as `host`. Speaks both eras of the protocol."""
    async with client:
        visit = Local(client, host=host, path=path)
        server = built(lambda _: visit)
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
