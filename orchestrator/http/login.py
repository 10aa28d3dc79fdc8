"""Signing in and out with a browser: a key for a session, in a cookie that only pages of this server make use of."""

from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote

from litestar import get, post

from orchestrator.domain.credential import Credential
from orchestrator.domain.operations import OpenSession, RevokeKey
from orchestrator.doors.doors import Doors
from orchestrator.doors.keyring import SESSION_PREFIX, Caller, Means, digest
from orchestrator.http.body import whole
from orchestrator.http.envelope import NO_STORE, Answer, Header
from orchestrator.http.hardening import PAGE
from orchestrator.http.scope import Asked, below_root, caller, origin, submit, trace
from orchestrator.http.visitors import COOKIE, from_elsewhere
from orchestrator.queue.commit import Queue
from worker_client.errors import Forbidden, OrchestratorError, PayloadTooLarge, Unauthorized

_PAGES: Final = Path(__file__).parent / "pages"
_HTML: Final[tuple[Header, ...]] = ((b"content-type", b"text/html; charset=utf-8"), *NO_STORE, *PAGE)
_MOST: Final = 10_000
_PROGRAMS: Final = ("/api/", "/mcp", "/metrics", "/health")
"""What is below these is for programs, which a page would not help."""


def shows_page(facts: dict[str, Any]) -> bool:
    """Whether a browser asks, to show the answer to somebody."""
    if facts.get("method") != "GET" or below_root(facts).startswith(_PROGRAMS):
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in facts["headers"])


def to_login(facts: dict[str, Any], refused: OrchestratorError) -> Answer | None:
    """The way to the form for a browser that is to show a page to somebody whom the server does not know; None for others."""
    if not isinstance(refused, Unauthorized) or not shows_page(facts):
        return None
    root: str = facts.get("root_path", "")
    path = below_root(facts)
    query = facts["query_string"].decode("ascii", "replace")
    to = quote(f"{path}?{query}" if query else path, safe="")
    return Answer(b"", 303, ((b"location", f"{root}/login?next={to}".encode()), *NO_STORE))


def _next(fields: dict[str, list[str]]) -> str:
    """Where to go on once signed in: a page of this server."""
    wanted = fields.get("next", [""])[0]
    inside = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isascii() and wanted.isprintable()
    return wanted if inside and not wanted.startswith(_PROGRAMS) else "/"


@get("/login", public=True)
async def login_page(request: Asked) -> Answer:
    """Show who is signed in, or ask for a key."""
    return _page(request, to=_next(parse_qs(request.scope["query_string"].decode("ascii", "replace"))))


@get("/login/page.css", public=True)
async def login_style(request: Asked) -> Answer:  # noqa: ARG001 - handlers have one shape
    """Serve what makes the page readable."""
    return Answer(_file("login.css").encode(), headers=((b"content-type", b"text/css; charset=utf-8"),))


@post("/login", public=True)
async def sign_in(request: Asked) -> Answer:
    """Open a session of the key in the form; the cookie is of no use to pages of elsewhere."""
    _check_page(request)
    raw = await whole(request)
    if len(raw) > _MOST:
        raise PayloadTooLarge(f"the form has more than {_MOST} bytes", limit=_MOST)
    fields = parse_qs(raw.decode("utf-8", "replace"))
    shown = fields.get("key", [""])[0].strip()
    state = request.app.state
    doors: Doors = state.doors
    try:
        by = _key(doors, shown)
        session_id, text = doors.minted(SESSION_PREFIX)
        seconds = state.settings.auth.session_seconds
        session = Credential(
            id=session_id,
            name=f"session of {by.key}",
            digest=digest(text).hex(),
            scopes=(),
            expires_at=doors.now() + 1000 * seconds,
        )
        queue: Queue = state.queue
        await queue.submit(OpenSession(credential=session), by.principal, trace(request), origin=origin(request))
    except (Unauthorized, Forbidden) as refused:
        return _page(request, refused, _next(fields))
    await state.doorkeeper.once()
    return _moved(request, text, seconds, _next(fields))


@post("/logout", public=True)
async def sign_out(request: Asked) -> Answer:
    """End the session."""
    _check_page(request)
    by = caller(request)
    if by.means is Means.SESSION:
        await submit(request, RevokeKey(id=by.key))
        await request.app.state.doorkeeper.once()
    return _moved(request, "", 0, "/login")


def _check_page(request: Asked) -> None:
    if from_elsewhere(request.scope):
        raise Forbidden("one signs in and out on the page of this server, and this request comes from a page of elsewhere")


def _key(doors: Doors, shown: str) -> Caller:
    by = doors.bearer(shown.encode())
    if by.means is not Means.KEY:
        raise Unauthorized("one signs in with a key; a token is too short-lived")
    return by


def _moved(request: Asked, cookie: str, seconds: int, to: str) -> Answer:
    """To a page, with another cookie; loading it again does not send the form again."""
    root = request.scope.get("root_path", "")
    kept = f"{COOKIE}={cookie}; Path={root or '/'}; Max-Age={seconds}; HttpOnly; SameSite=Strict"
    if request.scope["scheme"] == "https":
        kept += "; Secure"
    headers: Iterable[Header] = ((b"location", f"{root}{to}".encode()), (b"set-cookie", kept.encode()), *NO_STORE)
    return Answer(b"", 303, headers)


def _page(request: Asked, refused: OrchestratorError | None = None, to: str = "/") -> Answer:
    by = caller(request)
    doors: Doors = request.app.state.doors
    signed_in = "in" if by.means is Means.SESSION else "out"
    part = _file(f"login_{'open' if doors.open else signed_in}.html")
    facts = {
        "root": request.scope.get("root_path", ""),
        "next": to,
        "who": by.principal.id,
        "scopes": ", ".join(sorted(by.principal.scopes)),
        "problem": "" if refused is None else refused.message,
    }
    body = _file("login.html").replace("{part}", part)
    for name, value in facts.items():
        body = body.replace(f"{{{name}}}", escape(value))
    return Answer(body.encode(), 200 if refused is None else refused.status, _HTML)


@cache
def _file(name: str) -> str:
    return (_PAGES / name).read_text(encoding="utf-8")


HANDLERS = (login_page, login_style, sign_in, sign_out)
