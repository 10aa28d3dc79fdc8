"""Requests for pages, for what belongs to them, and from their forms, into answers."""

import gzip
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, cast
from urllib.parse import parse_qs

import msgspec

from orchestrator.dashboard import drawing
from orchestrator.dashboard.acting import ACTIONS, FORMS
from orchestrator.dashboard.acting.act import Done
from orchestrator.dashboard.asking import refusal as told
from orchestrator.dashboard.form import Form
from orchestrator.dashboard.page import Page, parts, whole
from orchestrator.dashboard.routes import PAGES
from orchestrator.dashboard.visit import Visit
from orchestrator.http.body import whole as body
from orchestrator.http.envelope import NO_STORE, Answer, Header, refusal
from orchestrator.http.hardening import PAGE
from orchestrator.http.scope import Asked
from orchestrator.http.visitors import from_elsewhere
from worker_client.errors import Forbidden, NotFound, OrchestratorError, ValidationFailed

_HTML: Final[tuple[Header, ...]] = ((b"content-type", b"text/html; charset=utf-8"), *NO_STORE, *PAGE)
_JSON: Final[tuple[Header, ...]] = ((b"content-type", b"application/json"), *NO_STORE)
# Pages name them with what is in them, so that a new one has a new address.
_KEPT: Final[Header] = (b"cache-control", b"public, max-age=31536000, immutable")
_MOST_FIELDS: Final = 2000
_LEVEL: Final = 3


async def show(request: Asked, place: str) -> Answer:
    """A page, or with `panel` in the query some panels of it."""
    visit = Visit(request)
    try:
        wanted = visit.many("panel")
        html = await (parts(_page(place), wanted, visit) if wanted else whole(_page(place), visit))
    except OrchestratorError as refused:
        return _refused(visit, refused)
    return _html(visit, html)


async def act(request: Asked, action: str) -> Answer:
    """What a form asks for: an answer to the script of the page, or the way back to the page where there is none."""
    visit = Visit(request)
    scripted = "application/json" in request.headers.get("accept", "")
    try:
        done = await _acted(visit, request, action)
    except OrchestratorError as refused:
        # Where the form was sent to is no page, to which one could come back.
        visit.at = "/"
        return refusal(refused) if scripted else await _again(visit, action, refused)
    if scripted:
        told = {"said": done.said, "to": done.to and visit.root + done.to}
        return Answer(msgspec.json.encode(told), headers=(*_JSON, *done.headers))
    return Answer(b"", 303, ((b"location", _next(visit, done).encode()), *NO_STORE, *done.headers))


def _next(visit: Visit, done: Done) -> str:
    """The page to go on at, or the one that the form was on, which has its whole address: with the prefix of a proxy."""
    if done.to is not None:
        return visit.root + done.to
    return done.back if done.back.startswith(f"{visit.root}/") else f"{visit.root}/"


async def _acted(visit: Visit, request: Asked, action: str) -> Done:
    if from_elsewhere(request.scope):
        raise Forbidden("this form was not sent from a page of this server: open the page here, and send it again")
    acting = ACTIONS.get(action)
    if acting is None:
        raise NotFound(f"there is no action {action[:100]!r}: there are {', '.join(sorted(ACTIONS))}")
    raw = await body(request)
    try:
        fields = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise ValidationFailed(f"the form cannot be read: {error}", field="") from None
    visit.form = Form(fields)
    return await acting(visit, visit.form)


async def _again(visit: Visit, action: str, refused: OrchestratorError) -> Answer:
    """The page of the form once more, with what was typed and why it was refused; for most forms just that."""
    place = FORMS.get(action)
    if place is None or visit.form is None:
        return _refused(visit, refused)
    visit.refused, visit.at = refused, place
    try:
        html = await whole(_page(PAGES[place]), visit)
    except OrchestratorError as worse:
        return _refused(visit, worse)
    return _html(visit, html, refused.status)


def _html(visit: Visit, html: str, status: int = 200) -> Answer:
    """A page, packed where the browser takes that: a seventh of the bytes for a millisecond; no page has a secret in it."""
    whole_page = html.encode(errors="replace")
    if "gzip" not in visit.request.headers.get("accept-encoding", ""):
        return Answer(whole_page, status, _HTML)
    return Answer(gzip.compress(whole_page, _LEVEL, mtime=0), status, (*_HTML, (b"content-encoding", b"gzip")))


def refused(request: Asked, answer: Answer) -> Answer:
    """An answer of the API that refuses, as a page."""
    page = _refused(Visit(request), told(answer.body))
    page.status_code = answer.status_code
    return page


def _refused(visit: Visit, refused: OrchestratorError) -> Answer:
    html = drawing.drawn("error.html", visit, refused=refused, part="", page="error", mark="", stream="")
    return _html(visit, html, refused.status)


def asset(name: str) -> Answer:
    """A file that pages name."""
    if name == "app.css":
        return Answer(drawing.style(), headers=((b"content-type", b"text/css; charset=utf-8"), _KEPT))
    if name == "app.js":
        return Answer(drawing.script(), headers=((b"content-type", b"text/javascript; charset=utf-8"), _KEPT))
    return Answer(_file(name), headers=((b"content-type", b"image/svg+xml"), _KEPT))


@cache
def _file(name: str) -> bytes:
    return (Path(__file__).parent / "assets" / name).read_bytes()


@cache
def _page(place: str) -> Page:
    module, _, name = place.partition(":")
    return cast("Page", getattr(import_module(f"orchestrator.dashboard.pages.{module}"), name))
