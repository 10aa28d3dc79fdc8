"""A reader's place in the feed: where it goes on, what it missed, and what it is told next."""

import asyncio
from types import TracebackType
from typing import Final, Self

import msgspec

from orchestrator.domain.principal import EVERYWHERE
from orchestrator.queue.board import Board
from orchestrator.queue.commit import Queue
from orchestrator.queue.topics import Topics
from orchestrator.store.protocol import FeedEvent

BEHIND: Final = 100_000
"""Events that a reader may miss and still read on; with more it is quicker to read the present state."""
_PAGE: Final = 500
_LOOK_S: Final = 0.25
_DIGITS: Final = 19


class Lost(msgspec.Struct, frozen=True):
    """Why a reader cannot go on where it was: `data` of the `reset` event."""

    reason: str
    message: str


class Told(msgspec.Struct, frozen=True):
    """What is next for a reader: events of the feed, and hints, which have no place in it; or what it lost before them."""

    events: list[FeedEvent] = []
    hints: list[FeedEvent] = []
    lost: Lost | None = None


_NOTHING: Final = Told()
_UNKNOWN: Final = Lost("unknown", "there is no event with this id")
_PRUNED: Final = Lost("pruned", "what followed this event is no longer kept")


class Cursor:
    """Reads on by itself until nothing is left, and is told by the board from then on; nothing gathers for who does not ask.

    Enter it before anything else. `live`: hints, too.
    """

    def __init__(self, queue: Queue, board: Board, epoch: str, topics: Topics, *, live: bool = False) -> None:
        self.epoch = epoch
        self._queue = queue
        self._feed = queue.feed
        self._listener = board.listener(topics, live=live)
        self._at = 0

    def __enter__(self) -> Self:
        self._listener.come()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.go()

    @property
    def mark(self) -> str:
        """Where to go on after all that was told."""
        return f"{self.epoch}-{self._at}"

    @property
    def over(self) -> bool:
        """Whether there will be no more, as the server stops."""
        return self._feed.draining

    @property
    def joined(self) -> bool:
        """Whether it has caught up, and is told by the board."""
        return self._listener.joined

    async def rest(self, seconds: float) -> None:
        """Let so much time go by, unless the server stops."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0 and not self.over:
            await self._listener.rest(min(left, _LOOK_S))

    async def begin(self, last_event_id: str | None) -> Lost | None:
        """Begin after the event with this id, or now when it is None."""
        self._at = self._feed.last_id
        if last_event_id is None:
            return None
        epoch, _, number = last_event_id.rpartition("-")
        if epoch != self.epoch:
            return Lost("epoch", "this id is of another database, or of the time before a restore")
        if not (number.isascii() and number.isdecimal()) or len(number) > _DIGITS:
            return _UNKNOWN
        if int(number) > self._at:
            # Another server, which its reader comes from, may have told of it before this one has heard of it.
            await self._queue.catch_up()
            if int(number) > self._feed.last_id:
                return self._reset(_UNKNOWN)
        first, _ = await self._queue.reads.event_bounds()
        if int(number) + 1 < first:
            return self._reset(_PRUNED)
        self._at = int(number)
        return None

    async def next(self, within: float) -> Told:
        """What is next; nothing when nothing was for this reader among some events, or came within so many seconds."""
        listener = self._listener
        if listener.told:
            await listener.rung(within)
            events, hints, self._at = listener.take()
            return Told(events, hints) if events or hints else _NOTHING
        last = self._feed.last_id
        if last - self._at > BEHIND:
            return Told(lost=self._reset(Lost("behind", f"more than {BEHIND} events were missed")))
        page = self._feed.after(self._at, _PAGE)
        if page is None:
            page = await self._queue.reads.events(self._at, _PAGE, EVERYWHERE)
            if (not page or page[0].id > self._at + 1) and self._at + 1 < (await self._queue.reads.event_bounds())[0]:
                return Told(lost=self._reset(_PRUNED))
        elif not page:
            listener.join(self._at)
            return _NOTHING
        else:
            # A reader that catches up from memory would let nobody else go on meanwhile.
            await asyncio.sleep(0)
        # When there is none, there were no events with the ids up to the last.
        self._at = page[-1].id if page else max(self._at, last)
        return Told([event for event in page if listener.topics.cover(event)])

    def _reset(self, lost: Lost) -> Lost:
        self._at = self._feed.last_id
        return lost
