"""What becomes due: leases to end, tasks to bring back. Wakes at the very moment, not every so often."""

import asyncio

import structlog

from orchestrator.domain.operations import Expire, Promote, Tick
from orchestrator.domain.outcomes import Done, Outcome
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.task import Millis
from orchestrator.queue.commit import Queue
from worker_client.errors import Overloaded

log = structlog.get_logger()

TICK_MS = 2_000
"""While leases are live, at least this often a commit tells a later start until when the server was alive."""
LONGEST_S = 15.0
"""Timers stand still while a machine sleeps, so none is longer."""
AFTER_ERROR_S = 1.0
HELD_UP_S = 0.05
"""What is due, but in the transaction of another server, is soon done."""


class Reaper:
    """Submits Expire and Promote when the queue says that something is due."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._bell = asyncio.Event()
        self._armed: Millis | None = None
        self._ticking = False
        self.failed: str | None = None
        queue.on_commit.append(self._look)

    def _look(self) -> None:
        due = self._queue.next_due
        sooner = due is not None and (self._armed is None or due < self._armed)
        if sooner or (self._ticks and not self._ticking):
            self._bell.set()

    @property
    def _ticks(self) -> bool:
        return self._queue.leases or self._queue.failing is not None

    async def once(self, now: Millis) -> int:
        """Do what is due; how many tasks that were."""
        due = self._queue.next_due
        if due is not None and due <= now:
            outcomes = await asyncio.gather(self._queue.submit(Expire(), SYSTEM), self._queue.submit(Promote(), SYSTEM))
            return sum(map(_count, outcomes))
        # Nobody else may come to try whether a database that took no writes does so again.
        if self._queue.failing is not None or (self._queue.leases and now - self._queue.last_commit >= TICK_MS):
            await self._queue.submit(Tick(), SYSTEM)
        return 0

    def _delay(self, now: Millis) -> float:
        """Seconds until something is due."""
        if self._queue.failing is not None:
            return AFTER_ERROR_S
        due = self._queue.next_due
        longest = TICK_MS / 1000 if self._queue.leases else LONGEST_S
        # Both clocks count whole milliseconds: one more, and it is due for certain.
        return longest if due is None else min(longest, max(0.0, (due - now + 1) / 1000))

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        while True:
            try:
                now = self._queue.now()
                self._armed, self._ticking = self._queue.next_due, self._ticks
                self._bell.clear()
                async with asyncio.timeout(self._delay(now)):
                    await self._bell.wait()
                    continue
            except TimeoutError:
                pass
            try:
                done = await self.once(self._queue.now())
                self.failed = None
                if not done and self._delay(self._queue.now()) == 0:
                    await asyncio.sleep(HELD_UP_S)
            except Exception as error:
                self.failed = repr(error)
                if not isinstance(error, Overloaded):
                    log.exception("the reaper failed and goes on")
                await asyncio.sleep(AFTER_ERROR_S)


def _count(outcome: Outcome) -> int:
    return outcome.count if isinstance(outcome, Done) else 0
