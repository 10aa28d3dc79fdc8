"""Asking the API from within its own process, as whoever asked us."""

from typing import Final

import httpx

from orchestrator.mcp.guest import Guest
from orchestrator.mcp.visit import ONCE
from worker_client.client import AsyncClient

PASSED: Final = frozenset(
    {b"authorization", b"cookie", b"host", b"origin", b"referer", b"sec-fetch-site", b"traceparent", b"user-agent"}
)
"""Headers by which the doors know who asks, and the log which trace it belongs to."""


class Inside(httpx.AsyncBaseTransport):
    """Hands requests to the API with the caller's credentials and address, and nobody else's."""

    def __init__(self, guest: Guest) -> None:
        self._headers = [header for header in guest.headers if header[0] in PASSED]
        app: object = guest.app
        self._asgi = httpx.ASGITransport(app=app, root_path=guest.root_path, client=guest.client)  # type: ignore[arg-type]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask, and wait for the whole answer."""
        # The environment of the server may hold a key, which is not its caller's.
        own = [header for header in request.headers.raw if header[0].lower() not in PASSED]
        request.headers = httpx.Headers([*own, *self._headers])
        return await self._asgi.handle_async_request(request)


def client_of(guest: Guest) -> AsyncClient:
    """The SDK's client, asking as a guest; nothing is sent again: whoever is refused hears when to come back."""
    address = f"{guest.scheme}://localhost{guest.root_path}"
    return AsyncClient(address, transport=Inside(guest), retries=ONCE)
