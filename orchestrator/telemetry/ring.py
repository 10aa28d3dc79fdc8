"""The latest lines of this process's log, in memory, for those who ask the server instead of its machine."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Final, NamedTuple

_MOST_LINES: Final = 5_000
_MOST_CHARACTERS: Final = 1_000_000
_LONGEST: Final = 50_000
"""A longer line is not kept: a page of it would be no help, and it would push out all others."""


class Line(NamedTuple):
    """A line as JSON; numbers grow, also over restarts, and level is that of the standard library."""

    number: int
    level: int
    text: str


class Ring:
    """Forgets the oldest line when there are too many, or too long ones; may be added to by any thread."""

    def __init__(
        self, lines: int = _MOST_LINES, characters: int = _MOST_CHARACTERS, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._lines: deque[Line] = deque()
        self._most = lines
        self._room = characters
        self._clock = clock
        self._last = 0
        self._lock = Lock()

    def add(self, level: int, text: str) -> None:
        """Remember one more."""
        if len(text) > _LONGEST:
            return
        with self._lock:
            self._last = max(self._last + 1, self._clock() // 1000)
            self._lines.append(Line(self._last, level, text))
            self._room -= len(text)
            while self._room < 0 or len(self._lines) > self._most:
                self._room += len(self._lines.popleft().text)

    def after(self, number: int, level: int = 0) -> Iterator[Line]:
        """The lines of at least a level that came after the one with a number, oldest first."""
        with self._lock:
            found = list(self._lines)
        return (line for line in found if line.number > number and line.level >= level)

    def newest(self, level: int = 0) -> Iterator[Line]:
        """The lines of at least a level, newest first."""
        with self._lock:
            found = list(self._lines)
        return (line for line in reversed(found) if line.level >= level)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._room += sum(len(line.text) for line in self._lines)
            self._lines.clear()
