"""The door through which agents speak MCP: what they ask for is asked of the API on their behalf."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from msgspec import Struct

from orchestrator.http.body import check_width, whole
from orchestrator.http.delivery import LINE, Line, line
from orchestrator.http.envelope import Header
from orchestrator.http.guard import KNOWN
from orchestrator.http.openapi import described, tagged
from orchestrator.http.scope import Asked, hold, principal
from orchestrator.mcp.guest import Guest
from orchestrator.mcp.mounted import Mounted
from orchestrator.queue.commit import Queue
from worker_client.contract.fields import Json
from worker_client.contract.tasks import ClaimedTask

_SAID: Final = ((b"accept", b"application/json, text/event-stream"), (b"content-type", b"application/json"))
_UNHEARD: Final = frozenset(name for name, _ in _SAID)


class McpMessage(Struct, omit_defaults=True):
    """A message of JSON-RPC 2.0, as the Model Context Protocol says."""

    jsonrpc: str
    id: int | str | None = None
    method: str | None = None
    params: Json = None
    result: Json = None
    error: Json = None


@post("/mcp", opt=described(McpMessage, body=McpMessage, bare=True, also=(202,)), status_code=200, scope=KNOWN)
async def speak_mcp(request: Asked) -> ASGIResponse:
    """Speak MCP: tools to take, keep, finish and add tasks, for coding agents.

    Streamable HTTP without sessions, in both eras of the protocol. Which tools there are depends on the scopes of the key.
    What is wrong with a message is said as JSON-RPC says it.
    """
    raw = await whole(request)
    check_width(raw)
    hold(request)
    return _Spoken(request, raw)


class _Spoken(ASGIResponse):
    """The answer of the MCP server to one message."""

    __slots__ = ("_raw", "_request")

    def __init__(self, request: Asked, raw: bytes) -> None:
        self._request = request
        self._raw: bytes | None = raw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  the body is read already
        """Answer, as long as the client is there; what was claimed for one that has gone goes back at once."""
        request = self._request
        granted: list[ClaimedTask] = []
        way = _Way(line(scope), request.app)
        mounted: Mounted = request.app.state.mcp
        facts: dict[str, Any] = {**scope}
        guest = Guest(
            app=way.app,
            headers=list(facts["headers"]),
            client=tuple(facts["client"] or ("", 0)),
            scheme=facts["scheme"],
            root_path=facts["root_path"],
            scopes=principal(request).scopes,
            granted=granted,
        )
        # All is JSON here, and so it is not made much of what a client says about it.
        # The SDK takes what stands around a value for a part of it.
        said = ((name, value.strip(b" \t")) for name, value in facts["headers"] if name not in _UNHEARD)
        facts["headers"] = [*said, *_SAID]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body" and granted and not way.gone:
                granted.clear()
            if message["type"] == "http.response.start":
                message["status"] = int(message["status"])
            await send(message)

        with way:
            try:
                await mounted.handle(facts, self._receive, sending, guest)  # type: ignore[arg-type]
            finally:
                queue: Queue = request.app.state.queue
                for claim in granted:
                    queue.undeliver(claim.id, claim.lease, claim.delivery_no, principal(request))

    async def _receive(self) -> Any:
        """The body, and then nothing: whoever waits for a claim hears that the client has gone, and nothing else is cut off."""
        if self._raw is None:
            await asyncio.get_running_loop().create_future()
        raw, self._raw = self._raw, None
        return {"type": "http.request", "body": raw, "more_body": False}


class _Way:
    """The way to a client, for requests that are made on its behalf: they are held while it is there."""

    def __init__(self, to: Line | None, app: ASGIApp) -> None:
        self._to = to
        self._app = app
        self._waiting: asyncio.Future[Any] | None = None
        self._open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open.add_done_callback(self._closed)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The API, asked over this way."""
        if self._to is not None:
            facts: dict[str, Any] = scope  # type: ignore[assignment]
            facts["extensions"] = {LINE: self}
        await self._app(scope, receive, send)

    @property
    def gone(self) -> bool:
        """Whether the client is known to have gone."""
        return self._to is not None and self._to.hung_up()

    def __enter__(self) -> None:
        if self._to is not None:
            self._to.watch(self._open)

    def __exit__(self, *_: object) -> None:
        if self._to is not None:
            self._to.watch(None)

    def _closed(self, _: object) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    def watch(self, waiting: "asyncio.Future[Any] | None") -> None:
        """Cancel what is waited for when the client hangs up."""
        self._waiting = waiting
        if waiting is not None and self._open.done():
            waiting.cancel()

    def hung_up(self) -> bool:
        """Whether it has."""
        return self.gone

    def write(self, scope: Scope, status: int, headers: Iterable[Header], body: bytes) -> bool:  # noqa: ARG002  a Line's signature
        """Nothing is written past the MCP server."""
        return False

    async def writable(self) -> None:
        """Wait until the client has taken enough of what was written before, or has gone."""
        if self._to is not None:
            await self._to.writable()


HANDLERS = tagged((speak_mcp,), "MCP")
