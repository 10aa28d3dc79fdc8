"""Whoever speaks MCP to the server, as the door tells of them."""

from litestar.types import ASGIApp
from msgspec import Struct

from worker_client.contract.tasks import ClaimedTask

Header = tuple[bytes, bytes]


class Guest(Struct, frozen=True, kw_only=True):
    """Whoever speaks MCP to the server.

    `app`: the API as they reach it; `granted` gets every claim that is made for them, before they hear of it.
    """

    app: ASGIApp
    headers: list[Header]
    client: tuple[str, int]
    scheme: str
    root_path: str
    scopes: frozenset[str]
    granted: list[ClaimedTask]
