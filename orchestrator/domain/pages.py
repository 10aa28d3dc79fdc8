"""Streams of waiting tasks, loaded page by page and merged by rank."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from orchestrator.domain.source import Place, Stream
from orchestrator.domain.task import Head

if TYPE_CHECKING:
    from orchestrator.domain.world import World


class Pages:
    """One stream of waiting tasks, loaded page by page and shared by all claims of a batch."""

    _FIRST = 16
    _MOST = 512

    def __init__(self, world: "World", stream: Stream) -> None:
        self._world = world
        self._stream = stream
        self._rows: list[Head] = []
        self._first = 0
        self._size = self._FIRST
        self._done = False

    def __iter__(self) -> Iterator[Head]:
        while self._first < len(self._rows) and self._world.taken(self._rows[self._first]):
            self._first += 1
        at = self._first
        while True:
            while at < len(self._rows):
                yield self._rows[at]
                at += 1
            if self._done:
                return
            after = _place(self._rows[-1]) if self._rows else None
            page, self._done = self._world.source.stream(self._stream, after, self._size)
            self._size = min(self._size * 2, self._MOST)
            self._rows += self._world.remember(page)


def _place(head: Head) -> Place:
    return head.rank, head.id


def open_next(opened: list[tuple[Place, Head, Iterator[Head]]], heads: Iterator[Head]) -> None:
    """Have the next of some heads wait for its turn among the others."""
    if (head := next(heads, None)) is not None:
        heappush(opened, (_place(head), head, heads))


def take_next(opened: list[tuple[Place, Head, Iterator[Head]]]) -> Iterator[Head]:
    """The first of them, whose next then waits for its turn."""
    _, head, heads = heappop(opened)
    yield head
    open_next(opened, heads)
