"""Has runs and schedules go on when the feed tells of something that happened to their work."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from orchestrator.domain.flow_operations import Follow
from orchestrator.domain.outcomes import Done
from orchestrator.domain.principal import SYSTEM
from orchestrator.loops.patience import Patience
from orchestrator.queue.commit import Queue
from worker_client.errors import Overloaded

log = structlog.get_logger()

AFTER_ERROR_S: Final = 1.0


class Advancer:
    """Submits Follow. `every`: seconds after which it looks though nobody told it to, as other servers may die; None: never."""

    def __init__(self, queue: Queue, *, every: float | None = None) -> None:
        self._queue = queue
        self._every = every
        self._patience = Patience()
        self.failed: str | None = None

    async def once(self) -> int:
        """Do all that follows by now; how many events were read."""
        count, more = 0, True
        while more:
            op = Follow(limit=1, gives_up=self._patience.over) if self._patience.careful else Follow()
            outcome = await self._queue.submit(op, SYSTEM)
            more = isinstance(outcome, Done) and outcome.more
            self._patience.went_well(more=more)
            count += outcome.count if isinstance(outcome, Done) else 0
        return count

    async def run(self) -> None:
        """Work until cancelled, from what happened before the start on; an error is logged and does not end it."""
        looking = True
        while True:
            try:
                if looking:
                    self._queue.feed.stirred.clear()
                    await self.once()
                    self.failed = None
                looking = await self._stirred() or await self._queue.reads.unfollowed()
            except Exception as error:
                self.failed, looking = repr(error), True
                self._patience.failed(error)
                if not isinstance(error, Overloaded):
                    log.exception("the advancer failed and goes on")
                await asyncio.sleep(AFTER_ERROR_S)

    async def _stirred(self) -> bool:
        """Wait until something happened, or for long enough."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every):
                await self._queue.feed.stirred.wait()
                return True
        return False
