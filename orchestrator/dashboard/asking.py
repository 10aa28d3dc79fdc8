"""Asking the API from within, as whoever looks at a page: what the API does not tell them, no page can."""

import asyncio
from collections.abc import Coroutine
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlencode

import msgspec
from litestar.types import Scope

from orchestrator.http.envelope import Answer
from orchestrator.http.scope import CALLER, PRINCIPAL, REQUEST_ID, Asked
from worker_client.contract.envelope import Envelope
from worker_client.endpoints import Call
from worker_client.errors import OrchestratorError, error_from
from worker_client.exchange import Refusal, query_of

T = TypeVar("T")
_PASSED: Final[tuple[str, ...]] = (
    "type",
    "asgi",
    "http_version",
    "scheme",
    "client",
    "server",
    "root_path",
    CALLER,
    PRINCIPAL,
    REQUEST_ID,
)
_TOLD: Final = frozenset({b"traceparent", b"user-agent"})
_encode = msgspec.json.Encoder().encode
_refusals = msgspec.json.Decoder(Refusal)


class Asking:
    """Sends the SDK's calls on behalf of a request, which the doors have let in and counted already."""

    def __init__(self, request: Asked) -> None:
        self._request = request

    async def __call__(self, call: Call[T]) -> T:
        """What the API answers. Raises the OrchestratorError that it refuses with."""
        sent = b"" if call.body is None else _encode(call.body)
        answer = await self._request.app.state.dispatch(self._scope(call, sent), _receiving(sent))
        if not isinstance(answer, Answer):
            raise TypeError(f"{call.method} {call.path} answers with a stream, which no page can show")
        if answer.status_code >= 400 and not call.bare:
            raise refusal(answer.body)
        if call.returns is None:
            return None  # type: ignore[return-value]
        if call.bare and call.returns is str:
            return answer.body.decode()  # type: ignore[return-value]
        told = _decoder(call.returns, bare=call.bare).decode(answer.body)
        return told if call.bare else told.data  # type: ignore[no-any-return]

    def _scope(self, call: Call[Any], sent: bytes) -> Scope:
        asked: dict[str, Any] = self._request.scope  # type: ignore[assignment]
        path = f"{asked.get('root_path', '')}{call.path}"
        headers = [header for header in asked["headers"] if header[0] in _TOLD]
        if sent:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(sent))]
        scope: dict[str, Any] = {name: asked[name] for name in _PASSED if name in asked}
        scope |= {
            "method": call.method,
            # As servers do: in the paths of calls, names are escaped.
            "path": unquote(path),
            "raw_path": path.encode(),
            "headers": headers,
            "extensions": {},
            "state": {},
        }
        scope["query_string"] = urlencode(query_of(call.params)).encode()
        return scope  # type: ignore[return-value]


async def perhaps(asked: Coroutine[Any, Any, T]) -> T | OrchestratorError:
    """What is given, or why not: for a part of a page that may be missing."""
    try:
        return await asked
    except OrchestratorError as refused:
        return refused


def refusal(body: bytes) -> OrchestratorError:
    """What an answer of the API refuses with."""
    told = _refusals.decode(body).error
    return OrchestratorError("the API refuses without a reason") if told is None else error_from(told)


@cache
def _decoder(returns: Any, *, bare: bool) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(returns if bare else Envelope[returns])


def _receiving(sent: bytes) -> Any:
    """ASGI's receive: the body, and then nothing, as nobody hangs up in here."""
    told = False

    async def receive() -> Any:
        nonlocal told
        if told:
            await asyncio.get_running_loop().create_future()
        told = True
        return {"type": "http.request", "body": sent, "more_body": False}

    return receive
