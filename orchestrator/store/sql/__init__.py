"""Named queries: `-- name: x` in a .sql file begins query x; what comments say there is about the query below."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def queries(*names: str) -> Mapping[str, str]:
    """The queries of one or more files; a later file wins, as a dialect over common.sql."""
    found: dict[str, str] = {}
    for name in names:
        text = (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")
        parts = _NAME.split(text)[1:]
        found.update(zip(parts[::2], map(_strip, parts[1::2]), strict=True))
    return found


def _strip(text: str) -> str:
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--"))
    return " ".join(line.strip() for line in lines).rstrip("; ")
