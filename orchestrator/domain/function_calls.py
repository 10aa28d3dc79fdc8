"""A function's arguments as TimerJobs writes them: text with commas between, and quotes around what has commas itself."""

from collections.abc import Iterator
from typing import Final

TEXTS: Final = {
    "Hello": 1, "Time": 1, "Echo": 1, "Monitor": 1, "Report": 1,
    "Database": 2, "SMS": 2, "Webhook": 2, "Backup": 2, "Cleanup": 2,
    "Email": 3, "File": 3, "Math": 3,
}  # fmt: skip
"""How many arguments a function has whose last one is any text; all commas after those before it are its own."""
BUILTIN: Final = frozenset({*TEXTS, "Dayin", "Test"})
_QUOTES: Final = "\"'"


def arguments(name: str, text: str) -> list[str]:
    """The arguments of a function: divided at commas outside quotes, without the spaces and the quotes around each."""
    if not text.strip():
        return []
    most = TEXTS.get(name)
    commas = list(_commas(text))
    if most is not None:
        commas = commas[: most - 1]
    ends = [*commas, len(text)]
    starts = [0, *(place + 1 for place in commas)]
    return [_plain(text[start:end].strip()) for start, end in zip(starts, ends, strict=True)]


def _commas(text: str) -> Iterator[int]:
    """Where the commas are that divide."""
    place = 0
    while place < len(text):
        if text[place] in _QUOTES and (end := _closing(text, place)) is not None:
            place = end
        elif text[place] == ",":
            yield place
        place += 1


def _closing(text: str, opening: int) -> int | None:
    """Where a quote ends; None of an apostrophe, and of what nothing closes."""
    sign = text[opening]
    if sign == "'" and opening and text[opening - 1].isalnum():
        return None
    place = text.find(sign, opening + 1)
    while place > 0 and text[place - 1] == "\\":
        place = text.find(sign, place + 1)
    return None if place < 0 else place


def _plain(part: str) -> str:
    """What is inside the quotes, where they enclose all of it."""
    if part[:1] in {'"', "'"} and len(part) > 1 and _closing(part, 0) == len(part) - 1:
        return part[1:-1].replace(f"\\{part[0]}", part[0])
    return part
