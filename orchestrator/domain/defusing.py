"""Texts made of what an author wrote and of values from elsewhere, in which no value makes a reference to a secret."""

from bisect import bisect_right
from typing import Any

from orchestrator.domain.secrets import REFERENCE
from orchestrator.domain.texts import stored


class Pieces:
    """A text in the making: what its author wrote may refer to secrets, what comes from elsewhere may not."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._goes_on = False
        self._length = 0

    def written(self, text: str) -> None:
        """Add what the author wrote."""
        if self._goes_on and self._ends[-1] == self._length:
            self._ends.pop()
        else:
            self._starts.append(self._length)
        self._add(text)
        self._ends.append(self._length)
        self._goes_on = True

    def apart(self, text: str) -> None:
        """Add what somebody else wrote, who may refer to secrets, too, but not together with what stands around it."""
        self._goes_on = False
        self.written(text)
        self._goes_on = False

    def given(self, text: str) -> None:
        """Add a value."""
        self._add(stored(text))

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def text(self) -> str:
        """All of it; where a value has a part in a reference its braces stand apart, so that it is none."""
        whole = "".join(self._parts)
        if "secrets." not in whole:
            return whole
        # It finds also what only begins like a reference, as a task with that is refused.
        return REFERENCE.sub(lambda found: found[0] if self._is_written(*found.span()) else "{ " + found[0][1:], whole)

    def _is_written(self, start: int, end: int) -> bool:
        place = bisect_right(self._starts, start)
        return place > 0 and end <= self._ends[place - 1]


def defused(value: Any) -> Any:
    """A JSON value from elsewhere, without references to secrets in its texts and its names of fields."""
    if isinstance(value, str):
        value = stored(value)
        return value if "secrets." not in value else REFERENCE.sub(lambda found: "{ " + found[0][1:], value)
    if isinstance(value, dict):
        return {defused(name): defused(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [defused(inner) for inner in value]
    return value
