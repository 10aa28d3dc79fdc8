"""HTML as plain text, for mails that have nothing else; in one pass, as strangers may have made it to be slow."""

import html as entities
import re
import string
from typing import Final

_UNSEEN: Final = frozenset({"script", "style", "title", "template", "noscript"})
_BLOCKS: Final = frozenset(
    {
        "address",
        "article",
        "blockquote",
        "div",
        "dd",
        "dl",
        "dt",
        "fieldset",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
    }
    | {"header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "tr", "ul"}
)
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NAME: Final = re.compile(r"/?([a-z][a-z0-9]{0,20})")
_HREF: Final = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_LONGEST_TAG: Final = 2000


def text_of(html: str) -> str:
    """What a reader would see of it, with the addresses of its links."""
    page = _Page(html)
    while page.step():
        pass
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in "".join(page.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Page:
    def __init__(self, html: str) -> None:
        self.parts: list[str] = []
        self._html = html
        self._lower = html.translate(_LOWER)
        self._at = 0
        self._endless: set[str] = set()
        self._link: tuple[str, int] | None = None

    def step(self) -> bool:
        """Go on behind the next tag; whether there was one."""
        begin = self._html.find("<", self._at)
        self._said(self._html[self._at : begin if begin >= 0 else None])
        if begin < 0:
            return False
        if self._html.startswith("<!--", begin):
            return self._skip("-->", begin)
        following = self._html[begin + 1 : begin + 2]
        end = self._html.find(">", begin) if following.isalpha() or following in {"/", "!", "?"} else -2
        if end < 0:
            # No tag, but a sign of its own; or one that never ends.
            self._said(self._html[begin : begin + 1 if end == -2 else None])
            self._at = begin + 1
            return end == -2
        self._at = end + 1
        found = _NAME.match(self._lower, begin + 1)
        if found is not None:
            self._tag(found[1], begin, end)
        return True

    def _skip(self, to: str, begin: int) -> bool:
        end = self._html.find(to, begin)
        self._at = end + len(to)
        return end >= 0

    def _said(self, text: str) -> None:
        if text:
            self.parts.append(re.sub(r"\s+", " ", entities.unescape(text)))

    def _tag(self, name: str, begin: int, end: int) -> None:
        ends = self._html[begin + 1] == "/"
        if name in _UNSEEN and not ends:
            self._hide(name, end)
        elif name in _BLOCKS or name == "br":
            self.parts.append("\n- " if name == "li" and not ends else "\n")
        elif name in {"td", "th"}:
            self.parts.append("\t")
        elif name == "a":
            self._linked(None if ends else self._html[begin : min(end, begin + _LONGEST_TAG)])

    def _hide(self, name: str, end: int) -> None:
        close = -1 if name in self._endless else self._lower.find(f"</{name}", end)
        if close < 0:
            self._endless.add(name)
        else:
            self._at = close

    def _linked(self, tag: str | None) -> None:
        if self._link is not None:
            address, begun = self._link
            if address != "".join(self.parts[begun:]).strip():
                self.parts.append(f" ({address})")
        found = None if tag is None else _HREF.search(tag)
        address = entities.unescape(next(filter(None, found.groups()), "")) if found else ""
        self._link = (address, len(self.parts)) if address.startswith(("http://", "https://")) else None
