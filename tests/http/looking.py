"""Pages as a client without a browser reads them."""

import re
from html import unescape
from typing import Any, Final

import httpx

HTML: Final = {"accept": "text/html"}
HOSTILE: Final = "</a><script>alert(1)</script>\"'`{{ 7 * 7 }}{% x %}\u202e\x1b[31m &amp; 中文"


async def page(browser: httpx.AsyncClient, path: str, **query: Any) -> str:
    """A page of the server; the ids in it are unique."""
    answer = await browser.get(path, params=query)
    assert answer.status_code == 200, answer.text
    ids = re.findall(r"\sid=\"([^\"]+)\"", answer.text)
    assert len(ids) == len(set(ids))
    return answer.text


def text(html: str) -> str:
    """What one reads."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def panel(html: str, name: str) -> str:
    """A panel of a page."""
    return html.partition(f'id="panel-{name}"')[2].partition("</section>")[0]


def harmless(html: str) -> None:
    """Fail where a text of others does something; what is sent back as it is may have anything."""
    seen = re.sub(r'<input type="hidden"[^>]*>', "", html)
    assert "<script>alert" not in html
    assert '"><b>' not in html
    assert "\u202e" not in seen
    assert "\x1b" not in seen
    assert len(html) < 100_000
