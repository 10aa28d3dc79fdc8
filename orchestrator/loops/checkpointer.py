"""Folds the write-ahead log into the database now and then, and notices who keeps it from being folded in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from orchestrator.domain.task import Millis
from orchestrator.store.protocol import Folded

log = structlog.get_logger()

EVERY_S: Final = 5.0
PAGES: Final = 4_000
"""A log that is shorter, 16 MB, harms nobody; about so long it gets by itself."""
HELD_MS: Final = 10_000
"""A reading of our own takes a second at the most."""


class Checkpointer:
    """`fold` puts into the database what it can of the log."""

    def __init__(self, fold: Callable[[], Awaitable[Folded]], now: Callable[[], Millis]) -> None:
        self._fold = fold
        self._now = now
        self._last = Folded(0, 0)
        self._stuck_since: Millis | None = None
        self._told = False

    def held_ms(self) -> Millis:
        """For how long another program's reading has kept a long log from being folded in; 0: it does not."""
        return self._now() - self._stuck_since if self._told and self._stuck_since is not None else 0

    async def once(self) -> None:
        """Fold, and see whether that went on since the last time."""
        found, now = await self._fold(), self._now()
        stuck = found.done < found.pages and found.done == self._last.done and found.pages >= self._last.pages
        self._last = found
        if not stuck:
            if self._told:
                log.info("the write-ahead log is folded into the database again")
            self._stuck_since, self._told = None, False
            return
        if self._stuck_since is None:
            self._stuck_since = now
        if not self._told and found.pages >= PAGES and now - self._stuck_since >= HELD_MS:
            self._told = True
            log.warning(
                "another program keeps reading the database file, so that its write-ahead log grows",
                pages=found.pages,
                remedy="find it with lsof or fuser, and end it, or the transaction that it has open",
            )

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.once()
            except Exception:
                log.exception("the checkpointer failed and goes on")
