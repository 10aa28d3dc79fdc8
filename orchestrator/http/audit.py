"""Who changed what: a page of it, or all of it as a file."""

import asyncio
import csv
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any, Final

import msgspec
import structlog
from litestar import get
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send
from msgspec.structs import replace

from orchestrator import spreadsheet
from orchestrator.http.body import ClientGoneError
from orchestrator.http.delivery import unless_gone
from orchestrator.http.envelope import NO_STORE, answer
from orchestrator.http.intake import filtered
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import listed
from orchestrator.http.query import parse
from orchestrator.http.scope import HEAD, Asked, hold, principal
from orchestrator.queue.commit import Queue
from orchestrator.store.protocol import StoreAwayError
from orchestrator.store.reads.values import Listing
from worker_client.contract import enums
from worker_client.contract.audit import AuditEntry, ListAudit
from worker_client.contract.envelope import Page
from worker_client.errors import Overloaded, Unauthorized

log = structlog.get_logger()

_MEDIA: Final = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_PAGE: Final = 1000
_encode_lines = msgspec.json.Encoder().encode_lines


class Export(ASGIResponse):
    """All changes of a query, page by page, so that nothing gathers for a reader that is slow."""

    __slots__ = ("_form", "_page", "_query", "_request")

    def __init__(self, request: Asked, query: ListAudit, form: str, page: Listing[AuditEntry]) -> None:
        self._request = request
        self._query = query
        self._form = form
        self._page = page

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Write it; when that cannot be done to the end, leave the answer unfinished, so that nobody takes it for whole."""
        hold(self._request)
        headers = [
            (b"content-type", _MEDIA[self._form].encode()),
            (b"content-disposition", f'attachment; filename="audit.{self._form}"'.encode()),
            *NO_STORE,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            if HEAD not in self._request.scope:
                await unless_gone(self._request, asyncio.ensure_future(self._write(send)))
        except ClientGoneError:
            return
        except (StoreAwayError, Overloaded, Unauthorized) as error:
            log.warning("an export of changes was cut off", reason=str(error))
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        async for chunk in self._chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _chunks(self) -> AsyncIterator[bytes]:
        page = self._page
        if self._form == "csv":
            yield _table([spreadsheet.COLUMNS])
        while True:
            yield _table(map(spreadsheet.row, page.items)) if self._form == "csv" else _encode_lines(page.items)
            if page.next_cursor is None:
                return
            self._query = replace(self._query, cursor=page.next_cursor, offset=0)
            page = await _read(self._request, self._query)


@get("/audit", opt=described(Page[AuditEntry], query=ListAudit, media=tuple(_MEDIA.values())), scope=enums.Scope.ADMIN)
async def list_audit(request: Asked) -> ASGIResponse:
    """List changes, newest first: who made them, from where.

    A page may have few entries, or none, and yet a `next_cursor`: there may be more that match. With `format=jsonl` or `csv`, or
    the header `Accept: application/x-ndjson` or `text/csv`, all that follow, whatever `limit` says.
    """
    query = filtered(parse(request, ListAudit))
    form = query.format or _accepted(request)
    if form in _MEDIA:
        query = replace(query, limit=_PAGE)
        return Export(request, query, form, await _read(request, query))
    found = await _read(request, query)
    return answer(listed(found, query))


async def _read(request: Asked, query: ListAudit) -> Listing[AuditEntry]:
    queue: Queue = request.app.state.queue
    return await queue.reads.audit(query, principal(request).paths)


def _accepted(request: Asked) -> str:
    """The form that the header Accept asks for by its name."""
    accepted = request.headers.get("accept", "")
    return next((form for form, media in _MEDIA.items() if media.partition(";")[0] in accepted), "json")


def _table(rows: Any) -> bytes:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


HANDLERS = tagged((list_audit,), "System")
