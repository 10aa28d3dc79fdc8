"""The API's description, and a page of our own over it that needs no other host."""

from functools import cache
from html import escape
from pathlib import Path
from typing import Final

import msgspec
from litestar import get

from orchestrator.http.envelope import Answer
from orchestrator.http.hardening import PAGE
from orchestrator.http.openapi import document
from orchestrator.http.scope import Asked

_PAGES: Final = Path(__file__).parent / "pages"


@get("/schema", public=True)
async def schema_page(request: Asked) -> Answer:
    """Show the API to people, who can try it there."""
    root = escape(request.scope.get("root_path", ""))
    return Answer(
        _file("schema.html").replace(b"{root}", root.encode()),
        headers=((b"content-type", b"text/html; charset=utf-8"), *PAGE),
    )


@get("/schema/page.js", public=True)
async def schema_script(request: Asked) -> Answer:  # noqa: ARG001 - handlers have one shape
    """Serve what makes the page work."""
    return Answer(_file("schema.js"), headers=((b"content-type", b"text/javascript; charset=utf-8"),))


@get("/schema/page.css", public=True)
async def schema_style(request: Asked) -> Answer:  # noqa: ARG001 - handlers have one shape
    """Serve what makes the page readable."""
    return Answer(_file("schema.css"), headers=((b"content-type", b"text/css; charset=utf-8"),))


@get("/schema/openapi.json", public=True)
async def schema_document(request: Asked) -> Answer:
    """Describe the API to programs."""
    state = request.app.state
    if "openapi" not in state:
        state["openapi"] = msgspec.json.encode(document(request.app))
    return Answer(state["openapi"])


@cache
def _file(name: str) -> bytes:
    return (_PAGES / name).read_bytes()


HANDLERS = (schema_page, schema_script, schema_style, schema_document)
