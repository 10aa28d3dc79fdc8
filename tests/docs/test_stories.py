"""Each page of README and docs is done as it stands, from its first block to its last."""

from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks, stage
from tests.docs.howto import AFTERWARDS
from tests.docs.story import told

TOLD = [
    page for page in PAGES if stage(page) != "fresh" and any(block.kind not in ("output", "tested") for block in blocks(page))
]


@pytest.mark.system
@pytest.mark.parametrize("page", TOLD, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_says_works(tmp_path: Path, page: Path) -> None:
    with told(tmp_path, stage(page)) as story:
        for block in blocks(page):
            story.play(block)
        if after := AFTERWARDS.get(str(page.relative_to(ROOT))):
            after(story)
