"""The site says what GitHub shows: two readers of Markdown find the same words, tables, lists and headings in each page."""

import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import markdown
import pytest
from markdown_it import MarkdownIt
from mkdocs.config import load_config

from docs import hooks

pytestmark = pytest.mark.system

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PARTS: Final = {"li", "ul", "ol", "table", "td", "th", "pre", "img", *(f"h{level}" for level in range(1, 7))}


class Read(HTMLParser):
    """Its words, and how many it has of each part."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words = ""
        self.parts: Counter[str] = Counter()
        self.feed(re.sub(r'<a class="headerlink".*?</a>', "", html))

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - as its base wants it
        if tag in PARTS:
            self.parts[tag] += 1

    def handle_data(self, data: str) -> None:
        self.words += re.sub(r"\s", "", data)


@pytest.fixture(scope="module")
def of_the_site() -> Callable[[str], str]:
    config = load_config(str(ROOT / "mkdocs.yml"))
    config = config.plugins.on_config(config)
    return lambda text: markdown.markdown(
        hooks.adapted(text), extensions=config.markdown_extensions, extension_configs=config.mdx_configs
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_site_shows_a_page_as_github_does(of_the_site: Callable[[str], str], page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    here, there = Read(of_the_site(text)), Read(MarkdownIt("commonmark").enable("table").render(text))
    assert here.words == there.words
    assert here.parts == there.parts
