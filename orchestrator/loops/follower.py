"""Hears what the other servers on the same database do: their events, what they left waiting, what became due."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from orchestrator.queue.commit import Queue
from orchestrator.store.protocol import Look, SharedStore, StoreAwayError
from orchestrator.telemetry.gauges import Replicas

log = structlog.get_logger()

LOOK_S: Final = 1.0
"""Between two looks at the database, which find what nobody told of."""
STANDS_STILL_S: Final = 5.0
"""A database that says nothing for so long cannot be reached, though nobody hung up."""
PACE_S: Final = 0.005
"""Between two readings of the feed: others commit a thousand times a second, and a reading brings all of it."""


class Follower:
    """Make it before the queue is started: from then on that counts on being told of other servers' events."""

    def __init__(self, queue: Queue, store: SharedStore) -> None:
        self._queue = queue
        self._store = store
        self._bell = asyncio.Event()
        self._listening = False
        self._looked_at: float | None = None
        queue.on_gap = self._bell.set

    def _told(self, logged: tuple[int, ...]) -> None:
        for task_id in logged:
            self._queue.bells.ring(task_id)
        self._bell.set()

    async def catch_up(self) -> None:
        """Hear all events that there are by now."""
        try:
            await self._queue.catch_up()
        except StoreAwayError as error:
            self._queue.lost(error)

    async def once(self) -> None:
        """Look at the database, and catch up with its events."""
        if await self._queue.look(self._look):
            await self.catch_up()
        if self._queue.away is None:
            self._looked_at = asyncio.get_running_loop().time()

    async def standing(self) -> Replicas:
        """How this server stands among the others. Raises StoreAwayError."""
        servers = await self._store.servers()
        _, last = await self._queue.reads.event_bounds()
        now = asyncio.get_running_loop().time()
        return Replicas(servers, max(0, last - self._queue.feed.last_id), now - (self._looked_at or now))

    async def _look(self, paths: Sequence[str], roots: Sequence[str]) -> Look:
        try:
            async with asyncio.timeout(STANDS_STILL_S):
                return await self._store.look(paths, roots)
        except TimeoutError:
            raise StoreAwayError(f"the database has said nothing for {STANDS_STILL_S:g} s") from None

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        loop = asyncio.get_running_loop()
        look_at = loop.time()
        while True:
            try:
                if loop.time() < look_at:
                    await self.catch_up()
                else:
                    look_at = loop.time() + LOOK_S
                    await self.once()
                    await self._listen()
            except Exception:
                log.exception("the follower failed and goes on")
            await asyncio.sleep(PACE_S)
            await self._rings(look_at - loop.time())

    async def _listen(self) -> None:
        """Have the doorbell ring; without it events are heard a little later."""
        if self._listening or self._queue.away is not None:
            return
        try:
            await self._store.listen(self._told)
        except StoreAwayError:
            return
        self._listening = True

    async def _rings(self, within: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, within)):
                await self._bell.wait()
        except TimeoutError:
            pass
        self._bell.clear()
