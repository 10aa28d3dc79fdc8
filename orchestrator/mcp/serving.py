"""The MCP server over HTTP."""

from typing import Any, Final

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from orchestrator.mcp.guest import Guest
from orchestrator.mcp.inside import client_of
from orchestrator.mcp.server import Context, built
from orchestrator.mcp.visit import Visit

GUEST: Final = "orchestrator.guest"
_UNBOUNDED: Final = 1 << 62
"""Bodies are measured, and hosts and origins looked at, before anything gets here."""


def manager() -> StreamableHTTPSessionManager:
    """Speaks both eras of the protocol, and keeps nothing between two requests: any replica can answer the next."""
    return StreamableHTTPSessionManager(built(_visit), json_response=True, stateless=True, max_request_body_size=_UNBOUNDED)


def _visit(ctx: Context) -> Visit:
    request: Any = ctx.request
    guest: Guest = request.scope[GUEST]
    return Visit(client_of(guest), guest.scopes, granted=guest.granted.append)
