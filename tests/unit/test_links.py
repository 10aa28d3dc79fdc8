"""Links of all pages lead somewhere: files, headings as GitHub names them, pictures, HTML, and pages that code names."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.unit.test_repository import ROOT, texts

pytestmark = pytest.mark.system

PAGES: Final = [ROOT / name for name, _ in texts() if name.endswith(".md")]
MOST_HOSTS: Final = 60
"""Other hosts that pages lead to: not many, as nobody here looks whether they still answer."""
OURS: Final = re.compile(r"(localhost|127\.0\.0\.1|([\w-]+\.)*example\.(org|com))(:\d+)?")
_HTML: Final = re.compile(r"""<(?:a|img|source)\b[^>]*?(?:href|src|srcset)=["']([^"']+)["']""")
_IDS: Final = re.compile(r"""\b(?:id|name)=["']([^"']+)["']""")


@cache
def tokens(page: Path) -> list[Token]:
    found: list[Token] = []
    waiting = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    while waiting:
        token = waiting.pop(0)
        found.append(token)
        waiting = (token.children or []) + waiting
    return found


def targets(page: Path) -> Iterator[str]:
    """Links, those by reference too, pictures, addresses in angle brackets, and HTML."""
    for token in tokens(page):
        for name in ("href", "src"):
            if isinstance(target := token.attrGet(name), str):
                yield target
        if token.type in {"html_block", "html_inline"}:
            yield from _HTML.findall(token.content)


@cache
def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page: of the same ones the second is -1."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for before, token in zip(tokens(page), tokens(page)[1:], strict=False):
        if before.type == "heading_open":
            words = "".join(part.content for part in token.children or () if part.type in {"text", "code_inline"})
            name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            found.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
        elif token.type in {"html_block", "html_inline"}:
            found.update(_IDS.findall(token.content))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in targets(page):
        address = urlsplit(target)
        if address.scheme:
            assert address.scheme in {"https", "http", "mailto"}, target
            assert address.scheme != "http" or OURS.fullmatch(address.netloc), f"{target}: over https"
            assert re.fullmatch(r"[\w.-]+\.[a-z]+|\S+@\S+", address.netloc or address.path) or OURS.fullmatch(address.netloc), (
                target
            )
            continue
        path = unquote(address.path)
        assert not path.startswith("/"), f"{target}: from where? Links are relative"
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if address.fragment and there.suffix == ".md":
            assert address.fragment in anchors(there), target


def test_pages_lead_to_few_other_hosts() -> None:
    hosts = {urlsplit(target).netloc for page in PAGES for target in targets(page) if urlsplit(target).scheme}
    assert len({host for host in hosts if not OURS.fullmatch(host)}) <= MOST_HOSTS


def test_links_are_found_however_they_are_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Same\n\n# Same\n\n[a](a.md#x) ![b](b.png) [c][c] <https://d.example.org> <img src='e.png'> `[no](no.md)`\n\n"
        '```text\n[no](no.md)\n```\n\n| [f](f.md) |\n| --- |\n\n[c]: c.md "C"\n'
    )
    assert set(targets(page)) == {"a.md#x", "b.png", "c.md", "https://d.example.org", "e.png", "f.md"}
    assert anchors(page) == {"same", "same-1"}


def test_pages_that_code_and_settings_name_are_there() -> None:
    named = [
        (name, match[1], match[2])
        for name, text in texts()
        if not name.endswith(".md") and not name.startswith("tests/")
        for match in re.finditer(r"(?<![\w/.-])(docs/[\w/-]+\.md)(?:#([\w-]+))?", text)
    ]
    assert len(named) > 20
    for name, path, fragment in named:
        assert (ROOT / path).is_file(), f"{name}: {path}"
        assert not fragment or fragment in anchors(ROOT / path), f"{name}: {path}#{fragment}"
