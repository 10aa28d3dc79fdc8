"""Templates into HTML: an environment per language, in which everything that is not of ours is escaped."""

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from orchestrator import __version__
from orchestrator.dashboard import measures
from orchestrator.dashboard.texts import Texts, catalogue, languages, number
from orchestrator.dashboard.visit import Visit
from orchestrator.domain.task import Millis

_HERE: Final = Path(__file__).parent


def drawn(template: str, visit: Visit, /, **facts: Any) -> str:
    """A template of the folder `templates`, with what every one of them knows: `visit`, `now` (ms), `root`, and the facts."""
    made = _environment(visit.texts.language).get_template(template)
    return made.render(visit=visit, now=visit.now, root=visit.root, **facts)


@cache
def _environment(language: str) -> Environment:
    texts = catalogue(language)
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(t=texts, word=texts.word, language=language, languages=languages(), version=__version__)
    made.globals.update(assets=fingerprint(), since=_since, ago=_Ago(texts))
    made.filters.update(
        duration=measures.duration,
        precise=measures.precise,
        money=measures.money,
        large=measures.large,
        size=measures.size,
        shown=measures.shown,
        line=measures.line,
        number=number,
        coded=_coded,
        rfc3339=measures.rfc3339,
        readable=measures.readable,
    )
    return made


def _coded(text: str) -> Markup:
    """What stands between backticks in a sentence of the API is code."""
    parts = text.split("`")
    marked = [Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)]
    return Markup("").join(marked) if len(parts) % 2 else escape(text)


class _Ago:
    """`{{ ago(task.created_at, now) }}`: how long ago, or until when; the script of the page keeps it true."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def __call__(self, at: datetime | Millis | None, now: Millis) -> Markup:
        if at is None:
            return Markup("")
        seconds = (now - measures.instant(at)) / 1000
        said = self._texts("time.ago" if seconds >= 0 else "time.ahead", time=measures.duration(abs(seconds)))
        html = '<time data-ago datetime="{}" title="{}">{}</time>'
        return Markup(html).format(measures.rfc3339(at), measures.readable(at), said)  # noqa: S704  format escapes


def _since(at: datetime | Millis | None, now: Millis) -> Markup:
    """`{{ since(task.started_at, now) }}`: how long something goes on; the script of the page counts on."""
    if at is None:
        return Markup("")
    html = '<time data-since datetime="{}" title="{}">{}</time>'
    said = measures.duration((now - measures.instant(at)) / 1000)
    return Markup(html).format(measures.rfc3339(at), measures.readable(at), said)  # noqa: S704  format escapes


STYLES: Final = ("tokens.css", "frame.css", "parts.css", "pages.css")
"""In this order they are one file; further ones follow by name."""


@cache
def style() -> bytes:
    """All styles as one file."""
    folder = _HERE / "assets"
    others = sorted(path.name for path in folder.glob("*.css") if path.name not in STYLES)
    return b"\n".join((folder / name).read_bytes() for name in (*STYLES, *others))


@cache
def script() -> bytes:
    """The module of the pages."""
    return (_HERE / "assets" / "app.js").read_bytes()


@cache
def fingerprint() -> str:
    """Changes with styles and script, so that browsers may keep them."""
    return hashlib.sha256(style() + script()).hexdigest()[:12]
