"""The switchboard: thousands who listen share one reader of the feed, and whom an event doesn't concern sleeps on."""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from orchestrator.queue.commit import Queue
from orchestrator.queue.hints import Hints
from orchestrator.queue.topics import Key, Topics, keys_of
from orchestrator.store.protocol import FeedEvent

log = structlog.get_logger()

MOST: Final = 500
"""Events that are kept for a listener who doesn't take them; one who misses more reads on from the feed by itself."""
MOST_HINTS: Final = 1000
_PAGE: Final = 500
_REST_S: Final = 0.001
"""For each listener who was rung: waking and writing takes a small part of it, so that the work itself has the rest."""
_LONGEST_REST_S: Final = 0.15


class Listener:
    """One who listens; made by `Board`. Joined, it is told what its topics cover; before and after that it reads by itself."""

    # Thousands are held: a generator for each would cost several times as much.
    __slots__ = (
        "_at",
        "_backlog",
        "_board",
        "_hints",
        "_left",
        "_timer",
        "_until",
        "_waiting",
        "joined",
        "live",
        "simple",
        "topics",
    )

    def __init__(self, board: "Board", topics: Topics, *, live: bool) -> None:
        self.topics = topics
        self.simple = topics.simple
        self.live = live
        self.joined = False
        self._board = board
        self._at = 0
        self._left = False
        self._backlog: list[FeedEvent] = []
        self._hints: dict[tuple[int, str], FeedEvent] = {}
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0

    def come(self) -> None:
        """Begin to listen."""
        self._board.hints.wanted(self.live)

    def go(self) -> None:
        """Listen no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._board.leave(self)
        self._board.hints.wanted(-self.live)

    def join(self, at: int) -> None:
        """Be told from now on; `at` is the last event of the feed, and known."""
        self._at = at
        self._board.join(self)

    def left(self, at: int) -> None:
        """Be told no more: up to `at` all was told, and is still there to be taken."""
        self._at = max(self._at, at, self._backlog[-1].id if self._backlog else 0)
        self._left = True

    @property
    def told(self) -> bool:
        """Whether it is told, or has not taken yet what it was told."""
        return self.joined or self._left

    def tell(self, event: FeedEvent) -> bool:
        """Keep an event for the listener; False when that is one too many."""
        if event.id <= self._at:
            return True
        if len(self._backlog) >= MOST:
            return False
        self._backlog.append(event)
        return True

    def hint(self, event: FeedEvent) -> None:
        """Keep a hint, of which the newest of its task and kind is enough."""
        if len(self._hints) < MOST_HINTS or (event.task_id, event.type) in self._hints:
            self._hints[event.task_id, event.type] = event

    def take(self) -> tuple[list[FeedEvent], list[FeedEvent], int]:
        """The events and the hints since the last call, and the last event of the feed before which nothing is left out."""
        events, self._backlog = self._backlog, []
        self._left = False
        hints: list[FeedEvent] = []
        if self._hints:
            hints = list(self._hints.values())
            self._hints.clear()
        if self.joined:
            self._at = max(self._at, self._board.at)
        return events, hints, self._at

    def ring(self) -> None:
        """Wake the listener."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def rung(self, within: float) -> None:
        """Wait until there may be something to take, or so many seconds."""
        if self._backlog or self._hints or not self.joined:
            return
        await self.rest(within)

    async def rest(self, within: float) -> None:
        """Wait until it is rung, or so many seconds."""
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        self._until = loop.time() + max(0.0, within)
        # Mostly it is rung before; a timer that is there already will do, and is set anew when it goes off too early.
        if self._timer is None or self._timer.when() > self._until:
            self._set_timer(loop)
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._until, self._time_is_over, loop)

    def _time_is_over(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if loop.time() < self._until:
            self._set_timer(loop)
        else:
            self.ring()


class Board:
    """Reads the feed once for all who have joined, as long as there are any."""

    def __init__(self, queue: Queue) -> None:
        self.at = 0
        """The last event that was told to all whom it concerns."""
        self._feed = queue.feed
        self.hints = Hints(queue, self.hint)
        self._joined: dict[Key, set[Listener]] = {}
        self._count = 0
        self._reader: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return self._count

    def listener(self, topics: Topics, *, live: bool = False) -> Listener:
        """One who listens between `come` and `go`; `live`: for hints, too."""
        return Listener(self, topics, live=live)

    def join(self, listener: Listener) -> None:
        """Tell a listener from now on."""
        if self._reader is None or self._reader.done():
            self.at = self._feed.last_id
            self._reader = asyncio.create_task(self._run(), name="board")
        for key in listener.topics.keys:
            self._joined.setdefault(key, set()).add(listener)
        listener.joined = True
        self._count += 1

    def leave(self, listener: Listener) -> None:
        """Tell a listener no more."""
        if not listener.joined:
            return
        listener.joined = False
        listener.left(self.at)
        for key in listener.topics.keys:
            self._joined[key].discard(listener)
            if not self._joined[key]:
                del self._joined[key]
        self._count -= 1
        if not self._count and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def hint(self, event: FeedEvent) -> None:
        """Tell those who want hints of something that is no event of the feed."""
        for listener in self._concerned(event):
            if listener.live:
                listener.hint(event)
                listener.ring()

    def _concerned(self, event: FeedEvent) -> Iterable[Listener]:
        hits = [self._joined[key] for key in keys_of(event) if key in self._joined]
        if not hits:
            return ()
        found = hits[0] if len(hits) == 1 else set[Listener]().union(*hits)
        return [listener for listener in found if listener.simple or listener.topics.cover(event)]

    async def _run(self) -> None:
        with self._feed.reader() as bell:
            # What was told between the joining and now rang for nobody.
            bell.set()
            while True:
                await bell.wait()
                bell.clear()
                if self._feed.draining:
                    self._everybody_goes()
                    return
                try:
                    rung = await self._tell()
                except Exception:
                    log.exception("the board failed; all who listen read by themselves")
                    rung = self._everybody_goes()
                await asyncio.sleep(min(rung * _REST_S, _LONGEST_REST_S))

    async def _tell(self) -> int:
        """Tell all that is new; how many were woken for it."""
        woken: set[Listener] = set()
        while self.at < self._feed.last_id:
            page = self._feed.after(self.at, _PAGE)
            if page is None:
                return self._everybody_goes()
            for event in page:
                for listener in self._concerned(event):
                    if not listener.tell(event):
                        self.leave(listener)
                    woken.add(listener)
            self.at = page[-1].id
            # Others want to go on meanwhile, and those who write to be given more.
            for listener in woken:
                listener.ring()
            await asyncio.sleep(0)
        return len(woken)

    def _everybody_goes(self) -> int:
        """All read by themselves, each from where it is."""
        everybody = set().union(*self._joined.values())
        for listener in everybody:
            self.leave(listener)
            listener.ring()
        return len(everybody)
