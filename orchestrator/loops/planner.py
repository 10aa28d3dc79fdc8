"""Fires schedules. Sleeps until the next one is due, by the wall clock, which others may set."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from msgspec.structs import replace

from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.schedule_operations import FireDue
from orchestrator.domain.schedule_outcomes import Fired, Fires
from orchestrator.domain.task import Millis
from orchestrator.loops.patience import Patience
from orchestrator.queue.commit import Queue
from orchestrator.telemetry import tracing
from orchestrator.telemetry.metrics import Metrics
from worker_client.contract.enums import FireOutcome
from worker_client.errors import Overloaded

log = structlog.get_logger()

LONGEST_S: Final = 2.0
"""Between two looks at the wall clock: so late it is known at the latest that it was set."""
AFTER_ERROR_S: Final = 1.0
HELD_UP_S: Final = 0.05
"""What is due, but in the transaction of another server, is soon done."""


class Planner:
    """Submits FireDue when the queue says that a schedule is due, until none is; `wall` is the clock that they follow."""

    def __init__(self, queue: Queue, wall: Callable[[], Millis], metrics: Metrics) -> None:
        self._queue = queue
        self._wall = wall
        self._metrics = metrics
        self._bell = asyncio.Event()
        self._armed: Millis | None = None
        self._patience = Patience()
        self.enabled = True
        """Whether this server fires schedules; others may all the same."""
        queue.on_commit.append(self._look)

    def _look(self) -> None:
        due = self._queue.next_fire
        if due is not None and (self._armed is None or due < self._armed):
            self._bell.set()

    def _delay(self) -> float:
        """Seconds until a schedule is due."""
        due = self._queue.next_fire
        if due is None or not self.enabled:
            return LONGEST_S
        return min(LONGEST_S, max(0.0, (due - self._wall()) / 1000))

    async def once(self) -> int:
        """Fire what is due; what became of how many due times."""
        count, more = 0, self.enabled
        while more:
            op = FireDue(limit=1, gives_up=self._patience.over) if self._patience.careful else FireDue()
            with tracing.work("fire") as trace:
                # What one schedule begins is a trace of its own.
                outcome = await self._queue.submit(op if trace is None else replace(op, limit=1), SYSTEM, trace)
                if not isinstance(outcome, Fires):
                    raise TypeError(f"{outcome!r} is no outcome of FireDue")
                for fired in outcome.fires:
                    self._tell(fired)
            count += len(outcome.fires)
            more = outcome.more
            self._patience.went_well(more=more)
        return count

    def _tell(self, fired: Fired) -> None:
        if fired.outcome != FireOutcome.FIRED:
            return
        if fired.late_ms is not None:
            self._metrics.schedule_late_seconds.observe(fired.late_ms / 1000)
        if fired.workflow_id is not None:
            log.info(
                "trigger_fired",
                service="workflow_scheduler",
                trigger_type="cron",
                workflow_id=fired.workflow_id,
                execution_id=None if fired.run_id is None else str(fired.run_id),
                duration_ms=fired.late_ms,
                status="success",
            )

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        while True:
            try:
                self._armed = self._queue.next_fire
                self._bell.clear()
                async with asyncio.timeout(self._delay()):
                    await self._bell.wait()
                    continue
            except TimeoutError:
                pass
            if self._delay():
                continue
            try:
                if not await self.once():
                    await asyncio.sleep(HELD_UP_S)
            except Exception as error:
                self._patience.failed(error)
                if not isinstance(error, Overloaded):
                    log.exception("the planner failed and goes on")
                await asyncio.sleep(AFTER_ERROR_S)
