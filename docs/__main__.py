"""Writes the pages that are made from the code: `python -m docs`."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent
BESIDE: Final = ("advice", "lifecycle", "scopes")
"""Modules with `page()` for the page beside them."""
REFERENCE: Final = ("api", "cli", "environment", "errors", "events", "mcp", "metrics", "settings", "worker_cli")
"""Modules of docs/reference with `pages()`, by their places below it."""


def pages() -> Iterator[tuple[Path, str]]:
    """Every page that is written from the code, and its text."""
    for name in BESIDE:
        yield ROOT / f"{name}.md", import_module(f"docs.{name}").page()
    for name in REFERENCE:
        for place, text in import_module(f"docs.reference.{name}").pages().items():
            yield ROOT / "reference" / place, text


def write() -> None:
    """Write all of them."""
    for path, text in pages():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
