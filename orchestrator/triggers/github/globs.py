"""Patterns of names and of paths, as GitHub's own workflows have them."""

import importlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

_PARTS: Final = re.compile(r"\*\*|\*|\?|[^*?]+")
_MOST_STARS: Final = 3
"""In one name, and as many `**`: with more of them a path that somebody chose could take hours to compare."""


def named(patterns: Sequence[str], name: str) -> bool:
    """Whether a name is meant: `*` is all but `/`, `**` everything, `!` takes out again; the last pattern that matches counts.

    Upper and lower case are the same. No patterns mean every name, and none but such with `!` every other one.
    """
    meant = all(pattern.startswith("!") for pattern in patterns)
    for pattern in patterns:
        if _fits(pattern.removeprefix("!").lower(), name.lower()):
            meant = not pattern.startswith("!")
    return meant


def files(patterns: Sequence[str], paths: Iterable[str]) -> bool:
    """Whether one of some files is meant, by patterns as .gitignore has them. Raises ValueError for one that is none."""
    return any(map(_spec(tuple(patterns)).match_file, paths))


def _fits(pattern: str, name: str) -> bool:
    """In a time that grows with both lengths only; a regular expression would try all ways, and strangers choose names."""
    reached = [True, *[False] * len(name)]
    for part in _PARTS.findall(pattern):
        reached = _after(part, name, reached)
    return reached[-1]


def _after(part: str, name: str, reached: list[bool]) -> list[bool]:
    """Up to where a name may be matched, once a further part of the pattern is."""
    after = [False] * len(reached)
    width = {"*": 0, "**": 0, "?": 1}.get(part, len(part))
    for at, before in enumerate(reached):
        if part == "**":
            after[at] = before or (at > 0 and after[at - 1])
        elif part == "*":
            after[at] = before or (at > 0 and after[at - 1] and name[at - 1] != "/")
        elif before and (name[at : at + 1] not in {"", "/"} if part == "?" else name.startswith(part, at)):
            after[at + width] = True
    return after


@lru_cache(200)
def _spec(patterns: tuple[str, ...]) -> Any:
    for pattern in patterns:
        names = pattern.split("/")
        if max((name.count("*") for name in names if name != "**"), default=0) > _MOST_STARS or names.count("**") > _MOST_STARS:
            raise ValueError(f"{pattern!r} has more than {_MOST_STARS} * in one name, or more than {_MOST_STARS} **")
    others = all(pattern.startswith("!") for pattern in patterns)
    # Loaded for those who use it.
    library = importlib.import_module("pathspec")
    return library.GitIgnoreSpec.from_lines([*(("**",) if others else ()), *patterns])
