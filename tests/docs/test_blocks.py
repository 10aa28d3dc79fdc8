"""No block of a page stands there untried: each is run, written, sent, tried by a test that is named, or marked as output."""

from pathlib import Path

import pytest

from tests.docs.blocks import KINDS, PAGES, ROOT, blocks


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_becomes_of_it(page: Path) -> None:
    for block in blocks(page):
        assert block.kind in KINDS, f"{block}: {block.kind or block.language!r}: see tests/docs/blocks.py"
        if block.kind == "tested":
            names = {page.name, str(page.parent.relative_to(ROOT))} - {".", "docs"}
            test = (ROOT / block.detail).read_text(encoding="utf-8")
            assert any(name in test for name in names), f"{block}: {block.detail} reads neither of {sorted(names)}"
