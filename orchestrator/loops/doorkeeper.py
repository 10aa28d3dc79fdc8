"""Keeps the doors up to date: what other servers change of keys and addresses, whose time is over, who used which key."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from orchestrator.domain.operations import UseKeys
from orchestrator.domain.principal import SYSTEM
from orchestrator.doors.doors import Doors
from orchestrator.queue.commit import Queue
from worker_client.errors import OrchestratorError

log = structlog.get_logger()

LOOK_S: Final = 1.0
"""Between two looks at who has to go because a time is over."""
USES_S: Final = 60.0
"""Between two records of who used which key."""
LAST_S: Final = 1.0
"""How long the last record may take."""
_ADMINISTRATIVE: Final = 0
"""Events about no task."""
_ABOUT: Final = ("key.", "session.", "address.")


class Doorkeeper:
    """Reads keys and addresses anew whenever the feed tells that they have changed."""

    def __init__(self, queue: Queue, doors: Doors) -> None:
        self._queue = queue
        self._doors = doors
        self._one = asyncio.Lock()

    async def once(self) -> None:
        """Have the doors know all that is committed by now."""
        # Of two readings at once the older one might come last.
        async with self._one:
            reads = self._queue.reads
            self._doors.load(await reads.credentials(), await reads.addresses())

    async def record(self) -> None:
        """Write down who used which key last."""
        if uses := self._doors.uses():
            await self._queue.submit(UseKeys(uses=uses), SYSTEM)

    async def leave(self) -> None:
        """Write it down for the last time; a server that is to stop does not wait for a database that is away."""
        with suppress(OrchestratorError, TimeoutError):
            async with asyncio.timeout(LAST_S):
                await self.record()

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        loop = asyncio.get_running_loop()
        record_at, stale = loop.time() + USES_S, True
        with self._queue.feed.watch(_ADMINISTRATIVE) as watch:
            while True:
                try:
                    if stale:
                        await self.once()
                    stale = False
                    self._doors.held.sift()
                    if loop.time() >= record_at:
                        record_at = loop.time() + USES_S
                        await self.record()
                    if self._queue.draining:
                        await asyncio.sleep(LOOK_S)
                    stale = any(event.type.startswith(_ABOUT) for event in await watch.next(LOOK_S))
                except Exception:
                    stale = True
                    if self._queue.away is None:
                        log.exception("the doorkeeper failed and goes on")
                    await asyncio.sleep(LOOK_S)
