"""Regular expressions from settings, as one."""

import re
from collections.abc import Iterable
from typing import Final

_FLAGS: Final = re.compile(r"\(\?([aimsux]+)\)")
# Counted from the left over all patterns, so that a group's number or name would be that of another one's.
_NUMBERED: Final = re.compile(r"\\[1-9]|\(\?P|\(\?\(")


def pattern(text: str) -> str:
    """A regular expression as a part of a larger one. Raises ValueError for what cannot be that, or matches nothing at all."""
    try:
        # Flags may stand only where the whole begins; in a group of its own each pattern keeps its own.
        flags = _FLAGS.match(text)
        part = f"(?{flags[1]}:{text[flags.end() :]})" if flags else f"(?:{text})"
        re.compile(text)
        found = re.compile(part)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    if _NUMBERED.search(text):
        raise ValueError(f"{text!r} refers to a group or names one: several patterns are matched as one, so leave that out")
    if found.match(""):
        raise ValueError(f"{text!r} matches the empty text, so it would be found everywhere")
    return part


def any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """What matches any of them; None when there are none. Raises ValueError."""
    parts = [pattern(text) for text in texts]
    return re.compile("|".join(parts)) if parts else None
