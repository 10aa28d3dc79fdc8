"""The rules of axe-core: WCAG 2 up to 2.2, A and AA, and what is good practice besides."""

from functools import cache
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

FILE: Final = Path(__file__).parents[2] / ".browser/node_modules/axe-core/axe.min.js"
_TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_RUN: Final = """(tags) => axe.run(document, {
    runOnly: {type: "tag", values: tags}, resultTypes: ["violations"], preload: false
})"""


@cache
def _source() -> str:
    assert FILE.exists(), f"{FILE} is not there: run `make {FILE.parents[2].name}/.installed`"
    return FILE.read_text(encoding="utf-8")


def broken_rules(page: Page) -> list[str]:
    """Which rules a page breaks, and where: a line for each element; the page keeps its policy."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": f"window.axe ?? (() => {{ {_source()} }})(); 0"})
    session.detach()
    found: dict[str, Any] = page.evaluate(_RUN, list(_TAGS))
    assert found["passes"], "no rule was looked at"
    return [_line(rule, node) for rule in found["violations"] for node in rule["nodes"]]


def _line(rule: dict[str, Any], node: dict[str, Any]) -> str:
    why = "; ".join(line.strip() for line in node["failureSummary"].splitlines()[1:])
    return f"{rule['id']} ({rule['impact']}): {node['html'][:200]}: {why}"
