"""The committed events, told to whoever waits in this process: held heartbeats, status waits, event streams."""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from orchestrator.domain.advancing import stirs
from orchestrator.store.protocol import FeedEvent


class Watch:
    """Waits for events of one task or run; made by `Feed`."""

    def __init__(self, feed: "Feed") -> None:
        self._feed = feed
        self._events: list[FeedEvent] = []
        self._bell = asyncio.Event()

    def put(self, event: FeedEvent) -> None:
        """Tell the watcher."""
        self._events.append(event)
        self._bell.set()

    def end(self) -> None:
        """Wake the watcher without an event."""
        self._bell.set()

    async def next(self, timeout: float) -> list[FeedEvent]:  # noqa: ASYNC109  the caller's wait is the product here
        """The events since the last call; none when `timeout` seconds went by or the server drains."""
        if not self._events and not self._feed.draining:
            try:
                async with asyncio.timeout(timeout):
                    await self._bell.wait()
            except TimeoutError:
                pass
        self._bell.clear()
        events, self._events = self._events, []
        return events


class Feed:
    """The last events in memory, and who waits for the next; everything older is in the store."""

    def __init__(self, *, keep: int = 10_000) -> None:
        self._recent: deque[FeedEvent] = deque(maxlen=keep)
        self._watches: dict[int, list[Watch]] = {}
        """By the id of a task, or less than 0 of a run."""
        self._readers: set[asyncio.Event] = set()
        self.last_id = 0
        self.draining = False
        self.stirred = asyncio.Event()
        """Set when something happened after which a run or a schedule may have something to do; who looks clears it."""
        self.searched = asyncio.Event()
        """Set when somebody searches more than is in the index of words; who puts it in clears it."""

    def publish(self, events: Iterable[FeedEvent]) -> None:
        """Tell everybody who waits; ids rise, not always by one."""
        told = False
        for event in events:
            told = True
            if stirs(event):
                self.stirred.set()
            self.last_id = event.id
            self._recent.append(event)
            for watch in self._watches.get(event.task_id or -(event.run_id or 0), ()):
                watch.put(event)
        if told:
            for bell in self._readers:
                bell.set()

    def drain(self) -> None:
        """End all waits: the server stops."""
        self.draining = True
        for watches in self._watches.values():
            for watch in watches:
                watch.end()
        for bell in self._readers:
            bell.set()

    def watch(self, task_id: int) -> AbstractContextManager[Watch]:
        """Collect the events of a task from now on: enter it before you ask for the task's state."""
        return self._watching(task_id)

    def watch_run(self, run_id: int) -> AbstractContextManager[Watch]:
        """Collect the events of a run, not those of its tasks."""
        return self._watching(-run_id)

    @contextmanager
    def _watching(self, key: int) -> Iterator[Watch]:
        watch = Watch(self)
        self._watches.setdefault(key, []).append(watch)
        try:
            yield watch
        finally:
            watches = self._watches[key]
            watches.remove(watch)
            if not watches:
                del self._watches[key]

    @contextmanager
    def reader(self) -> Iterator[asyncio.Event]:
        """An Event that is set whenever there may be more to read after what was read; the reader clears it."""
        bell = asyncio.Event()
        self._readers.add(bell)
        try:
            yield bell
        finally:
            self._readers.remove(bell)

    def after(self, event_id: int, limit: int) -> list[FeedEvent] | None:
        """Up to `limit` events that follow `event_id`; None when they are no longer in memory (the store has them)."""
        if event_id >= self.last_id:
            return []
        if not self._recent or self._recent[0].id > event_id + 1:
            return None
        start = bisect_right(self._recent, event_id, key=lambda event: event.id)
        return [self._recent[at] for at in range(start, min(start + limit, len(self._recent)))]
