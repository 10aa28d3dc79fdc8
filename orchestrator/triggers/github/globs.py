"""Patterns of names and of paths, as GitHub's own workflows have them."""

import importlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

_PARTS: Final = re.compile(r"\*\*|\*|\?|[^*?]+")
_MEANS: Final = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


def named(patterns: Sequence[str], name: str) -> bool:
    """Whether a name is meant: `*` is all but `/`, `**` everything, `!` takes out again; the last pattern that matches counts.

    Upper and lower case are the same. No patterns mean every name, and none but such with `!` every other one.
    """
    meant = all(pattern.startswith("!") for pattern in patterns)
    for pattern in patterns:
        if _compiled(pattern.removeprefix("!")).fullmatch(name):
            meant = not pattern.startswith("!")
    return meant


def files(patterns: Sequence[str], paths: Iterable[str]) -> bool:
    """Whether one of some files is meant, by patterns as .gitignore has them. Raises ValueError for one that is none."""
    return any(map(_spec(tuple(patterns)).match_file, paths))


@lru_cache(1000)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (_MEANS.get(part) or re.escape(part) for part in _PARTS.findall(pattern))
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)


@lru_cache(200)
def _spec(patterns: tuple[str, ...]) -> Any:
    others = all(pattern.startswith("!") for pattern in patterns)
    # Loaded for those who use it.
    library = importlib.import_module("pathspec")
    return library.GitIgnoreSpec.from_lines([*(("**",) if others else ()), *patterns])
