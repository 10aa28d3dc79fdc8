"""`GET /ws`: events, output and numbers over a WebSocket. It comes in by the doors as every request does."""

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import structlog
from litestar import get
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from orchestrator.http.body import ClientGoneError
from orchestrator.http.cors import Cors
from orchestrator.http.delivery import line, unless_gone
from orchestrator.http.envelope import Header
from orchestrator.http.events import topics
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, caller, hold, principal
from orchestrator.http.slots import slot
from orchestrator.http.visitors import heard, same_origin, shown
from orchestrator.store.protocol import StoreAwayError
from worker_client.contract import enums
from worker_client.contract.sockets import ReadSocket, SocketMessage
from worker_client.errors import Forbidden, Overloaded, Unauthorized, ValidationFailed

if TYPE_CHECKING:
    from orchestrator.http.conversation import Conversation, Ended

PROTOCOL: Final = "orchestrator"
_POLICY: Final = 1008
_TRY_AGAIN: Final = 1013
_STUCK: Final = 1011
log = structlog.get_logger()


class Switching(Protocol):
    """What sends answers, where the server can also switch to something else than HTTP."""

    def switch(self, scope: Scope, answer: Callable[[list[Header]], bytes], hear: Callable[[bytes], None]) -> bool:
        """Speak something else than HTTP after this answer."""


class Upgraded(ASGIResponse):
    """A WebSocket, from the handshake to its end."""

    __slots__ = ("_query", "_request")

    def __init__(self, request: Asked, query: ReadSocket) -> None:
        self._request = request
        self._query = query

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Talk until one of both has had enough. Raises Overloaded, RateLimited, ValidationFailed."""
        from orchestrator.http.conversation import Conversation  # noqa: PLC0415 - see `_opened`
        from orchestrator.http.frames import shake  # noqa: PLC0415 - see `_opened`

        request = self._request
        if request.app.state.queue.draining:
            raise Overloaded("this server is about to stop: come again, to another one or when it is back", retry_after=1.0)
        facts = cast("dict[str, Any]", scope)
        with slot(request, "streams"):
            to = line(scope)
            talk = Conversation(request.app.state, caller(request), self._query, to)

            def answer(more: list[Header]) -> bytes:
                chosen = [(b"sec-websocket-protocol", PROTOCOL.encode())] if _offers(facts) else []
                return shake(facts["path"], facts["headers"], [*more, *chosen])

            if to is None or not cast("Switching", send).switch(scope, answer, talk.hear):
                raise ValidationFailed(
                    "this connection cannot become a WebSocket: open one of its own, with HTTP/1.1 and without a body", field=""
                )
            hold(request)
            try:
                if (ended := await self._talked(talk)) is not None:
                    await talk.end(ended)
            finally:
                to.finish()

    async def _talked(self, talk: "Conversation") -> "Ended | None":
        from orchestrator.http.conversation import Ended  # noqa: PLC0415 - see `_opened`

        try:
            return await unless_gone(self._request, asyncio.ensure_future(talk.run()))
        except ClientGoneError:
            return None
        except Unauthorized as refused:
            return Ended(_POLICY, refused.message)
        except TimeoutError:
            return Ended(_STUCK, "too little was read")
        except (StoreAwayError, Overloaded):
            return Ended(_TRY_AGAIN, "the database is away: come back in a while")


def _offers(facts: dict[str, Any]) -> bool:
    """Whether the client offers our protocol; a key that it offers beside it is never repeated."""
    offered = [value for name, value in facts["headers"] if name == b"sec-websocket-protocol"]
    return any(one.strip() == PROTOCOL.encode() for value in offered for one in value.split(b","))


_FACTS: Final = described(SocketMessage, query=ReadSocket, bare=True, status=101, errors=(503,))


@get("/ws", opt=_FACTS, scope=enums.Scope.READ)
async def open_socket(request: Asked) -> Upgraded:
    """Follow what happens, over a WebSocket.

    As GET /events, and new lines of output and numbers for who asks for them (`events`). `{"subscribe": {...}}` with the same
    parameters asks for something else. Pages that have no session offer the protocols `orchestrator` and `bearer.KEY`.
    """
    return await _opened(request)


@get("/ws", opt=_FACTS, scope=enums.Scope.READ)
async def open_socket_at_root(request: Asked) -> Upgraded:
    """The same as /api/v1/ws."""
    return await _opened(request)


async def _opened(request: Asked) -> Upgraded:
    query = parse(request, ReadSocket)
    _refuse_foreign(request)
    topics(query, principal(request))
    # Whoever opens none does not pay for its library; and loading takes a moment, in which others want to be answered.
    await asyncio.to_thread(importlib.import_module, "orchestrator.http.conversation")
    return Upgraded(request, query)


def _refuse_foreign(request: Asked) -> None:
    """Browsers ask on behalf of any page, whatever that may read otherwise: what it may is up to the server."""
    facts = cast("dict[str, Any]", request.scope)
    told = heard(facts["headers"], "GET")
    named = Cors(request.app.state.settings.server.cors_origins)
    if told.origin is not None and not same_origin(facts, told) and not named.names(told.origin):
        raise Forbidden(
            f"this server opens no WebSocket to web pages of {shown(told.origin)}: "
            "name that origin in the setting server.cors_origins to let its pages in"
        )


HANDLERS = tagged((open_socket,), "Events")
AT_ROOT = tagged((open_socket_at_root,), "Events")
