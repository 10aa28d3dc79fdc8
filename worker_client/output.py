"""Bytes of a program's output to lines."""

import codecs
from collections import deque
from collections.abc import Callable

LINE_LIMIT = 65_536
"""Characters of the longest line; a longer one becomes several."""
REDRAW_SECONDS = 2.0
"""A line that is drawn over and over (a progress bar) is kept once in so many seconds, and as it was last."""


def storable(text: str) -> str:
    """A text without what JSON and databases refuse: halves of surrogate pairs and NUL become other characters."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


class LineSplitter:
    """Takes chunks as they come; undecodable bytes become U+FFFD, as does NUL, which databases refuse."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._drawn: str | None = None
        self._kept: str | None = None
        self._clock = clock
        self._kept_at = -REDRAW_SECONDS

    def feed(self, chunk: bytes, *, final: bool = False) -> list[str]:
        """The lines that this chunk ends."""
        text = self._rest + self._decoder.decode(chunk, final).replace("\0", "\ufffd")
        *ended, self._rest = text.split("\n")
        lines = [line for text in ended for line in self._end(text)]
        lines += self._redraw()
        while len(self._rest) >= LINE_LIMIT:
            lines.append(self._rest[:LINE_LIMIT])
            self._rest = self._rest[LINE_LIMIT:]
        if final and (self._rest or self._drawn is not None):
            lines += self._end(self._rest)
            self._rest = ""
        return lines

    def _end(self, text: str) -> list[str]:
        shown = text.rstrip("\r").rpartition("\r")[2]
        if not shown and self._drawn is not None:
            shown = self._drawn
        kept, self._drawn, self._kept = self._kept, None, None
        if kept is not None and shown == kept:
            return []
        return [shown[start : start + LINE_LIMIT] for start in range(0, len(shown) or 1, LINE_LIMIT)]

    def _redraw(self) -> list[str]:
        """Of a line that has been drawn over, keep what it shows; the last character may be half of CR LF."""
        drawn, end, rest = self._rest[:-1].rpartition("\r")
        if not end:
            return []
        self._rest = rest + self._rest[-1:]
        self._drawn = drawn.rstrip("\r").rpartition("\r")[2]
        now = self._clock()
        if not self._drawn or self._drawn == self._kept or now - self._kept_at < REDRAW_SECONDS:
            return []
        self._kept_at, self._kept = now, self._drawn
        return [self._drawn[:LINE_LIMIT]]


class Tail:
    """The last lines, up to so many characters."""

    def __init__(self, limit: int = 8192) -> None:
        self._limit = limit
        self._lines: deque[str] = deque()
        self._size = 0

    def add(self, line: str) -> None:
        """Remember one more."""
        self._lines.append(line)
        self._size += len(line) + 1
        while self._size > self._limit and len(self._lines) > 1:
            self._size -= len(self._lines.popleft()) + 1

    def __str__(self) -> str:
        return "\n".join(self._lines)[-self._limit :]


class WholeLines:
    """Lines of any length up to `limit` bytes, as they are: of a longer one only a note is left."""

    def __init__(self, limit: int = 32 * 1024 * 1024) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes, *, final: bool = False) -> list[str]:
        """The lines that this chunk ends."""
        first, *others = chunk.split(b"\n")
        self._add(first)
        lines = []
        for other in others:
            lines.append(self._take())
            self._add(other)
        if final and self._size:
            lines.append(self._take())
        return lines

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
        else:
            self._parts = []

    def _take(self) -> str:
        text = b"".join(self._parts).decode(errors="replace").replace("\0", "\ufffd").rstrip("\r")
        if self._size > self._limit:
            text = f"[a line of {self._size} bytes is left out]"
        self._parts, self._size = [], 0
        return text
