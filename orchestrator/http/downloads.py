"""Answers that become files: as long as they are, written as fast as they are taken."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Final

import structlog
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from orchestrator.http.body import ClientGoneError
from orchestrator.http.delivery import unless_gone
from orchestrator.http.envelope import NO_STORE, Header
from orchestrator.http.scope import HEAD, Asked, hold
from orchestrator.http.slots import slot
from orchestrator.store.protocol import StoreAwayError
from worker_client.errors import OrchestratorError

_STUCK_S: Final = 60.0
"""Who takes nothing for so long is not there any more."""
_TYPE: Final[Header] = (b"content-type", b"text/plain; charset=utf-8")
log = structlog.get_logger()


def named(name: str) -> Header:
    """Have browsers save an answer under a name."""
    return (b"content-disposition", f'attachment; filename="{re.sub(r"[^A-Za-z0-9._-]", "_", name)}"'.encode())


class Download(ASGIResponse):
    """A file of text; when it cannot be ended its connection is cut, so that nobody takes a part for the whole."""

    __slots__ = ("_name", "_pieces", "_request")

    def __init__(self, request: Asked, name: str, pieces: AsyncGenerator[bytes, None]) -> None:
        self._request = request
        self._name = name
        self._pieces = pieces

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Write it. Raises RateLimited when its key has too many streams."""
        try:
            with slot(self._request, "streams"):
                hold(self._request)
                headers = [_TYPE, *NO_STORE, named(self._name)]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                if HEAD not in self._request.scope:
                    await unless_gone(self._request, asyncio.ensure_future(self._write(send)))
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (ClientGoneError, TimeoutError):
            return
        except (StoreAwayError, OrchestratorError) as error:
            log.warning("a download is cut, as it cannot be ended", file=self._name, reason=str(error))
        finally:
            await self._pieces.aclose()

    async def _write(self, send: Send) -> None:
        async for piece in self._pieces:
            async with asyncio.timeout(_STUCK_S):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
