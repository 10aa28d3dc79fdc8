"""The pages for those who come from elsewhere name calls and settings that are there."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

FOLDER = ROOT / "docs/coming-from"
PAGES = sorted(FOLDER.glob("*.md"))


@cache
def _routes() -> set[tuple[str, str]]:
    printed = subprocess.run([sys.executable, "-m", "orchestrator.cli", "openapi"], capture_output=True, check=True)
    paths = json.loads(printed.stdout)["paths"]
    bare = {path: path.removeprefix("/api/v1") for path in paths}
    return {(method.upper(), re.sub(r"\{\w+\}", "{id}", bare[path])) for path in paths for method in paths[path]}


def _here(page: Path) -> list[str]:
    """The right column of each table that maps what is there to what is here."""
    found: list[str] = []
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        inside = line.startswith("|") and (inside or line == "| there | here |")
        if inside:
            found.append(re.split(r"(?<!\\)\|", line)[-2])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_calls_that_are_named_exist(page: Path) -> None:
    called = re.findall(r"`(GET|POST|PUT|DELETE) (/[\w/{}-]+)", "".join(_here(page)))
    assert len(called) >= 5, "nothing was found: does a table begin with | there | here |?"
    assert [call for call in called if call not in _routes()] == []


def test_the_overview_names_each_page() -> None:
    linked = re.findall(r"\(coming-from/([\w-]+)\.md\)", (ROOT / "docs/coming-from.md").read_text(encoding="utf-8"))
    assert sorted(linked) == [page.stem for page in PAGES]
