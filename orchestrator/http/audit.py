"""Who changed what: a page of it, or all of it as a file."""

import csv
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any, Final

import msgspec
from litestar import get
from litestar.response.base import ASGIResponse
from msgspec.structs import replace

from orchestrator import spreadsheet
from orchestrator.http.envelope import answer
from orchestrator.http.exporting import Export
from orchestrator.http.intake import filtered
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import listed
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, principal
from orchestrator.queue.commit import Queue
from orchestrator.store.reads.values import Listing
from worker_client.contract import enums
from worker_client.contract.audit import AuditEntry, ListAudit
from worker_client.contract.envelope import Page

_MEDIA: Final = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_PAGE: Final = 1000
_encode_lines = msgspec.json.Encoder().encode_lines


async def _chunks(request: Asked, query: ListAudit, form: str, page: Listing[AuditEntry]) -> AsyncIterator[bytes]:
    """All changes of a query, page by page."""
    if form == "csv":
        yield _table([spreadsheet.COLUMNS])
    while True:
        yield _table(map(spreadsheet.row, page.items)) if form == "csv" else _encode_lines(page.items)
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor, offset=0)
        page = await _read(request, query)


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
        chunks = _chunks(request, query, form, await _read(request, query))
        return Export(request, chunks, name=f"audit.{form}", media=_MEDIA[form], what="an export of changes")
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
