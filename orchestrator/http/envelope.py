"""The frame of every JSON answer, encoded once and written without detours."""

from collections.abc import Iterable
from datetime import UTC, datetime
from math import ceil

import msgspec
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from worker_client.contract.envelope import Envelope
from worker_client.errors import OrchestratorError, Retriable, Unauthorized

Header = tuple[bytes, bytes]

NO_STORE: tuple[Header, ...] = ((b"cache-control", b"no-store"),)
_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class Answer(ASGIResponse):
    """A whole answer as bytes. Litestar's own response would build and encode headers a second time."""

    __slots__ = ("raw_headers",)

    def __init__(self, body: bytes, status: int = 200, headers: Iterable[Header] = (_JSON,)) -> None:
        self.body = body
        self.status_code = status
        self.raw_headers = [*headers, (b"content-length", b"%d" % len(body))]

    def ready(self, scope: Scope, receive: Receive) -> "Answer":  # noqa: ARG002  what it is may depend on who still listens
        """What is to be written, now that nothing is waited for any more."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write it."""
        ready = self.ready(scope, receive)
        await send({"type": "http.response.start", "status": ready.status_code, "headers": ready.raw_headers})
        await send({"type": "http.response.body", "body": ready.body, "more_body": False})


def answer(data: object, status: int = 200, headers: Iterable[Header] = ()) -> Answer:
    """`data` in the envelope."""
    envelope = Envelope(success=True, data=data, error=None, timestamp=datetime.now(UTC))
    return Answer(_encode(envelope), status, (_JSON, *headers))


def empty(headers: Iterable[Header] = ()) -> Answer:
    """204: done, and there is nothing to show, not even its length (RFC 9110, 8.6)."""
    gone = Answer(b"", 204, ())
    gone.raw_headers = list(headers)
    return gone


def text(body: str, status: int = 200) -> Answer:
    """Plain text, for those that ask for it."""
    return Answer(body.encode(), status, ((b"content-type", b"text/plain; charset=utf-8"),))


def refusal(error: OrchestratorError) -> Answer:
    """An error in the envelope, with its status; `Retry-After` when it helps to come back, `WWW-Authenticate` when a key does."""
    headers: tuple[Header, ...] = (_JSON,)
    if isinstance(error, Retriable):
        headers = (_JSON, (b"retry-after", b"%d" % max(1, ceil(error.retry_after))))
    if isinstance(error, Unauthorized):
        headers = (_JSON, (b"www-authenticate", b"Bearer"))
    envelope: Envelope[None] = Envelope(success=False, data=None, error=error.body, timestamp=datetime.now(UTC))
    return Answer(_encode(envelope), error.status, headers)
