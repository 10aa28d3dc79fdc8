"""Answers that are files of any size, written piece by piece, so that nothing gathers for a reader that is slow."""

import asyncio
from collections.abc import AsyncIterator

import structlog
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from orchestrator.http.body import ClientGoneError
from orchestrator.http.delivery import unless_gone
from orchestrator.http.envelope import NO_STORE
from orchestrator.http.scope import HEAD, Asked, hold
from orchestrator.store.protocol import StoreAwayError
from worker_client.errors import Overloaded, Unauthorized

log = structlog.get_logger()


class Export(ASGIResponse):
    """A file with a name; `what`: stands in the log when it was cut off."""

    __slots__ = ("_chunks", "_media", "_name", "_request", "_what")

    def __init__(self, request: Asked, chunks: AsyncIterator[bytes], *, name: str, media: str, what: str) -> None:
        self._request = request
        self._chunks = chunks
        self._name = name
        self._media = media
        self._what = what

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Write it; when that cannot be done to the end, leave the answer unfinished, so that nobody takes it for whole."""
        hold(self._request)
        headers = [
            (b"content-type", self._media.encode()),
            (b"content-disposition", f'attachment; filename="{self._name}"'.encode()),
            *NO_STORE,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            if HEAD not in self._request.scope:
                await unless_gone(self._request, asyncio.ensure_future(self._write(send)))
        except ClientGoneError:
            return
        except (StoreAwayError, Overloaded, Unauthorized) as error:
            log.warning("a file was cut off", what=self._what, reason=str(error))
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
