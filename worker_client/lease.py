"""A lease as its holder sees it: kept by heartbeats, and over, whatever the server says, when they fail for too long."""

import asyncio
import logging
import random
from collections.abc import Callable
from enum import StrEnum

from worker_client import endpoints
from worker_client.client import AsyncClient
from worker_client.clock import Clock
from worker_client.contract.enums import Directive
from worker_client.contract.reports import Heartbeat
from worker_client.contract.tasks import ClaimedTask, HeartbeatAnswer
from worker_client.errors import LeaseLost, NotFound, OrchestratorError, PayloadTooLarge, Retriable, ValidationFailed
from worker_client.exchange import Retries
from worker_client.runners.base import Notes

logger = logging.getLogger("worker_client")
ONCE = Retries(attempts=1)
NO_JSON = (TypeError, ValueError, OverflowError, RecursionError)
"""What encoding raises for a value that can't be sent."""
_FREE = frozenset({"progress", "checkpoint"})
"""What the work may say as it likes; it is the first to be left out."""
LOOK_SECONDS = 1.0
"""How often to look at the clock: timers don't count the time of a suspension."""


class Stop(StrEnum):
    """Why work is stopped before it has ended by itself."""

    CANCELLED = "cancelled"
    PARKED = "parked"
    """A budget is used up: the task waits until there is more."""
    TIMEOUT = "timeout"
    DRAINED = "drained"
    HURRIED = "drained at once"
    EXPIRING = "expiring"
    """The lease could not be extended and is about to run out."""
    LOST = "lost"
    """The server says that the lease is somebody else's by now."""

    @property
    def silent(self) -> bool:
        """Whether nothing is to be reported: the task is no longer this worker's."""
        return self in {Stop.EXPIRING, Stop.LOST}

    @property
    def urgency(self) -> int:
        """A more urgent reason overrides a less urgent one that the work is being stopped for."""
        return 2 if self.silent else int(self is Stop.HURRIED)


class Lease:
    """Times are counted from the *sending* of the last heartbeat that got through, on a clock that no suspension stops.

    The work is told to stop when 5/6 of the lease have passed, and gone when 11/12 have. Likewise it is told to stop a little
    before the attempt's time-out, past which the server extends no lease.
    """

    def __init__(
        self,
        client: AsyncClient,
        task: ClaimedTask,
        seconds: float,
        *,
        notes: Notes,
        clock: Clock,
        stop: Callable[[Stop], None],
        extended: Callable[[], None],
        drain: Callable[[], None],
    ) -> None:
        self._client = client
        self._task = task
        self._seconds = seconds
        self._notes = notes
        self._clock = clock
        self._stop = stop
        self._extended = extended
        self._drain = drain
        self._sent = clock.now()
        self._ending = False
        self.reason: str | None = None
        """Why the server had the work stopped, in words."""
        self._telling = asyncio.Lock()
        # A claim that was delivered a second time has been running since the first.
        elapsed = max(0.0, (task.updated_at - (task.started_at or task.updated_at)).total_seconds())
        self._ends = clock.now() - elapsed + task.timeout_seconds
        self.early = min(5.0, task.timeout_seconds / 10)
        """Seconds before the attempt's time-out at which the work is told to stop."""

    @property
    def grace(self) -> float:
        """Seconds that work has to end when its lease could not be extended; none when a suspension has used them up."""
        return max(0.0, min(self._seconds / 12, self.left))

    @property
    def left(self) -> float:
        """Seconds until the work must be gone."""
        return min(self._sent + self._seconds * 11 / 12, self._ends) - self._clock.now()

    async def begin(self) -> Directive:
        """The first heartbeat, before any work is done; raises the OrchestratorError that forbids to begin."""
        sent = self._clock.now()
        answer = await self._client.send(endpoints.heartbeat(self._task.id, Heartbeat(lease=self._task.lease)))
        self._sent = sent
        self._heed(answer)
        return answer.directive

    def _heed(self, answer: HeartbeatAnswer) -> None:
        self.reason = answer.reason or self.reason
        if answer.drain:
            self._drain()

    async def tell_rest(self) -> None:
        """Say what is still unsaid, before the lease ends."""
        async with self._telling:
            if self._notes.news.is_set():
                await self._beat(0.0)

    async def keep(self) -> None:
        """Extend the lease for ever, and tell when the work has to stop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hold())
            group.create_task(self._tell())
            group.create_task(self._watch())

    async def _hold(self) -> None:
        """Heartbeats that the server holds, so that its directives arrive at once."""
        wait = third = self._seconds / 3
        while True:
            sent = self._clock.now()
            pause = await self._beat(0.0 if self._ending else min(wait, 50.0))
            if pause is not None:
                wait = 0.0
                await self._clock.sleep(pause)
            elif self._ending:
                await self._clock.sleep(third)
            else:
                wait = third
                # A server that doesn't hold the call isn't to be asked in a circle.
                await self._clock.sleep(min(1.0, third) - (self._clock.now() - sent))

    async def _tell(self) -> None:
        """Heartbeats with news, soon after there are some."""
        while True:
            await self._notes.news.wait()
            async with self._telling:
                pause = await self._beat(0.0)
            await self._clock.sleep(min(1.0, self._seconds / 6) if pause is None else pause)

    async def _watch(self) -> None:
        while True:
            now = self._clock.now()
            expires = self._sent + self._seconds * 5 / 6
            if now >= expires:
                self._stop(Stop.EXPIRING)
            elif now >= self._ends - self.early:
                self._stop(Stop.TIMEOUT)
            due = [at - now for at in (expires, self._ends - self.early) if at > now]
            await self._clock.sleep(min([LOOK_SECONDS, *due]))

    async def _beat(self, wait: float) -> float | None:
        """One heartbeat; seconds until the next try when it did not get through."""
        news = self._notes.take()
        sent = self._clock.now()
        body = Heartbeat(lease=self._task.lease, wait=wait, **news)
        try:
            async with asyncio.timeout(wait + max(1.0, self._seconds / 6)):
                answer = await self._client.send(endpoints.heartbeat(self._task.id, body), ONCE)
        except (LeaseLost, NotFound):
            self._stop(Stop.LOST)
            return self._seconds
        except (ValidationFailed, PayloadTooLarge, *NO_JSON) as error:
            # What can't be told must not cost the lease.
            kept = {name: value for name, value in news.items() if name not in _FREE}
            self._notes.give_back(kept if len(kept) < len(news) else {})
            logger.error("task %d: the server can't be told %s: %s", self._task.id, ", ".join(news) or "anything", error)  # noqa: TRY400  it says all
            return min(1.0, self._seconds / 12)
        except (OrchestratorError, TimeoutError) as error:
            self._notes.give_back(news)
            logger.warning("task %d: a heartbeat failed: %s", self._task.id, str(error) or type(error).__name__)
            asked = error.retry_after if isinstance(error, Retriable) else 0.0
            return min(max(asked, random.uniform(0.2, 1.0)), self._seconds / 12)  # noqa: S311  spreads the load
        self._sent = max(self._sent, sent)
        self._extended()
        self._heed(answer)
        if answer.directive is not Directive.CONTINUE:
            # Held, it would be answered at once.
            self._ending = True
            self._stop(Stop.CANCELLED if answer.directive is Directive.CANCEL else Stop.PARKED)
        return None
