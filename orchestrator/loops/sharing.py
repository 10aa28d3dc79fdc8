"""Tells the other servers who asks for work here, and hears who does there."""

import asyncio
from typing import Final

import structlog

from orchestrator.domain.task import Millis
from orchestrator.queue.commit import Queue
from orchestrator.queue.presence import HELD_MS, UNSEEN_MS
from orchestrator.store.protocol import SharedStore, StoreAwayError

log = structlog.get_logger()

EVERY_S: Final = 5.0
_LATE_MS: Final = HELD_MS + 10_000
"""What is told may be as old as a held poll."""


class Sharing:
    """Every few seconds tells what is new of the askers here; what is lost of it nobody misses for long."""

    def __init__(self, queue: Queue, store: SharedStore) -> None:
        self._queue = queue
        self._store = store
        self._heard_at: Millis | None = None

    async def once(self, now: Millis) -> None:
        """Tell, and hear. Raises StoreAwayError."""
        # What a doorbell that was out of order did not bring is there by now, too.
        self._queue.bells.ring_all()
        presence = self._queue.presence
        if news := presence.news():
            try:
                await self._store.share(news)
            except Exception:
                presence.untold()
                raise
        since = now - UNSEEN_MS if self._heard_at is None else self._heard_at - _LATE_MS
        presence.heard(await self._store.askers(max(since, now - UNSEEN_MS)), now)
        self._heard_at = now

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        while True:
            try:
                await self.once(self._queue.now())
            except StoreAwayError:
                log.debug("nobody can be told who asks here, as the database is away")
            except Exception:
                log.exception("sharing failed and goes on")
            await asyncio.sleep(EVERY_S)
