"""Pages that are written from the code say what the code says."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_lifecycle_page_is_that_of_the_table() -> None:
    script = runpy.run_path(str(DOCS / "lifecycle.py"))
    assert (DOCS / "lifecycle.md").read_text(encoding="utf-8") == script["page"](), "run: python docs/lifecycle.py"
