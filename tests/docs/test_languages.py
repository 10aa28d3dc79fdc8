"""The README in Chinese is the same README: its blocks, its links and its pictures, in the same order."""

import re

from tests.docs.blocks import ROOT, blocks

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"


def test_the_blocks_are_the_same() -> None:
    english, chinese = ([(one.kind, one.detail, one.language, one.text) for one in blocks(page)] for page in (ENGLISH, CHINESE))
    assert english == chinese
    assert len(english) > 8


def test_the_same_pages_are_named() -> None:
    named = [set(re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))) for page in (ENGLISH, CHINESE)]
    assert named[0] - {CHINESE.name} == named[1] - {ENGLISH.name}
    headings = [len(re.findall(r"(?m)^## ", page.read_text(encoding="utf-8"))) for page in (ENGLISH, CHINESE)]
    assert headings[0] == headings[1]
