"""Takes out what is past its retention, in small steps between which everybody else goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from orchestrator.domain.operations import Prune
from orchestrator.domain.outcomes import Done
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.task import Millis
from orchestrator.queue.commit import Queue

log = structlog.get_logger()

DAY_MS: Final = 86_400_000
KEYS_MS: Final = 30 * DAY_MS
"""A key is known this long after the end of its task, even when the task is gone."""


class Pruner:
    """`retention_days`: how long ended tasks are kept, 0 for ever; `interval`: seconds between two rounds.

    `shrink` gives some room back to the file system, and says whether there is more.
    """

    def __init__(
        self, queue: Queue, *, retention_days: float, interval: float, shrink: Callable[[], Awaitable[bool]] | None = None
    ) -> None:
        self._queue = queue
        self._shrink = shrink
        self._changed = asyncio.Event()
        self._limits = (retention_days, interval)

    def configure(self, *, retention_days: float, interval: float) -> None:
        """Go by these from now on; when they are others, begin a round."""
        if self._limits != (retention_days, interval):
            self._limits = (retention_days, interval)
            self._changed.set()

    async def once(self, now: Millis) -> int:
        """Remove all that is past its retention; how many tasks that were."""
        removed = 0
        retention = round(self._limits[0] * DAY_MS)
        before = now - retention if retention else 0
        loop = asyncio.get_running_loop()
        more = True
        while more:
            started = loop.time()
            outcome = await self._queue.submit(Prune(before=before, keys_before=now - KEYS_MS), SYSTEM)
            more = isinstance(outcome, Done) and outcome.more
            removed += outcome.count if isinstance(outcome, Done) else 0
            await asyncio.sleep(loop.time() - started)
        return removed

    async def shrink(self) -> None:
        """Give back to the file system what nothing uses any more."""
        more = self._shrink is not None
        loop = asyncio.get_running_loop()
        while more and self._shrink is not None:
            started = loop.time()
            more = await self._shrink()
            await asyncio.sleep(loop.time() - started)

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits[1]):
                    await self._changed.wait()
            self._changed.clear()
            try:
                if removed := await self.once(self._queue.now()):
                    log.info("tasks past their retention were removed", tasks=removed)
                await self.shrink()
            except Exception:
                if self._queue.away is None:
                    log.exception("the pruner failed and goes on")
