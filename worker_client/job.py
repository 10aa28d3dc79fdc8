"""One claimed task: check it, begin it, keep its lease while it runs, stop it when it must, report what came of it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from worker_client.attempts import Attempt, attempt
from worker_client.client import AsyncClient
from worker_client.clock import Clock
from worker_client.contract.enums import Directive, ParkReason
from worker_client.contract.reports import Usage
from worker_client.contract.tasks import ClaimedTask
from worker_client.errors import CannotBegin, LeaseLost, NotFound, OrchestratorError, ServerUnreachable
from worker_client.exchange import Retries
from worker_client.lease import Lease, Stop
from worker_client.logs import LogShipper
from worker_client.places import NoPlace, Place, Places
from worker_client.runners.base import Notes, RunContext, Runner
from worker_client.runners.outcomes import Done, Failed, Outcome, Parked, Released

logger = logging.getLogger("worker_client")
STOP_GRACE = 10.0
"""Seconds that work has to end when it is cancelled or drained; the server gives 60 after a cancel request."""
HURRIED_GRACE = 1.0
FLUSH_SECONDS = 60.0
REFUSED = "ReportRefused"
REPORTING = Retries(attempts=None, seconds=600.0)


class Job:
    """Runs one task. `run` never raises for what went wrong with it; cancelling `run` abandons the task."""

    def __init__(  # noqa: PLR0913  all that a task has to do with
        self,
        client: AsyncClient,
        task: ClaimedTask,
        runner: Runner,
        *,
        directory: str,
        places: Places,
        exclusive: bool,
        lease_seconds: float,
        clock: Clock,
        drain: Callable[[], None],
        give_up: Callable[[str], None],
    ) -> None:
        self._client = client
        self._runner = runner
        self._places, self._place = places, Place(directory)
        self._give_up = give_up
        self.task = task
        self._notes = Notes()
        self._logs = LogShipper(client, task.id, task.lease, lost=lambda: self.stop(Stop.LOST))
        self._context = RunContext(
            task, directory=directory, exclusive=exclusive, server_url=client.url, logs=self._logs, notes=self._notes
        )
        self._lease = Lease(
            client,
            task,
            lease_seconds,
            notes=self._notes,
            clock=clock,
            stop=self.stop,
            extended=self._context.lease_extended,
            drain=drain,
        )
        self._context.lease_left = lambda: self._lease.left
        self._work: asyncio.Task[Outcome] | None = None
        self._stopped: Stop | None = None
        self._clock = clock
        self._began = clock.now()
        self.quota_until: datetime | None = None
        """When its account may go on, after it was parked for its quota."""

    @property
    def seconds(self) -> float:
        """How long it has been at it."""
        return self._clock.now() - self._began

    @property
    def last_line(self) -> str:
        """What it said last."""
        return self._logs.last

    @property
    def usage(self) -> Usage | None:
        """What it has used, as far as it is known."""
        return self._notes.known.get("usage")

    def stop(self, why: Stop) -> None:
        """Stop the work; stopping it again for a more urgent reason ends it at once."""
        work = self._work
        if work is None or work.done():
            # What has ended by itself is reported as it is, unless the task is somebody else's by now.
            self._stopped = self._stopped or (why if work is None or why.silent else None)
            return
        if self._stopped is not None and why.urgency <= self._stopped.urgency:
            return
        logger.warning("task %d: stopping the work: %s", self.task.id, why)
        self._context.grace = self._grace(why)
        self._context.stopping = why
        self._stopped = why
        self._context.cancelled.set()
        self._logs.hurry()
        work.cancel()
        # Whoever swallows the first cancellation, or takes longer than agreed, gets another.
        asyncio.get_running_loop().call_later(self._context.grace + 1.0, work.cancel)

    def _grace(self, why: Stop) -> float:
        match why:
            case Stop.LOST:
                return 0.0
            case Stop.HURRIED:
                return HURRIED_GRACE
            case Stop.EXPIRING:
                return self._lease.grace
            case Stop.TIMEOUT:
                return self._lease.early / 2
        return STOP_GRACE

    async def run(self) -> None:
        """Do the task."""
        with attempt(self.task, type(self._runner).__name__) as told:
            await self._run(told)

    async def _run(self, told: Attempt) -> None:
        if not await self._may_begin():
            return
        self._work = asyncio.create_task(self._do(), name=f"task-{self.task.id}")
        background = [asyncio.create_task(self._lease.keep()), asyncio.create_task(self._logs.run())]
        try:
            outcome = await self._outcome(self._work)
            told.ended(outcome)
            if outcome is not None:
                await self._logs.flush(FLUSH_SECONDS)
                await self._lease.tell_rest()
                await self.report(self._place.described(outcome))
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    async def _do(self) -> Outcome:
        outcome: Outcome | None = None
        try:
            async with self._places.open(self._context) as self._place:
                self._context.directory = self._place.directory
                if (worktree := self._place.evidence.get("worktree")) is not None:
                    self._context.worktree, self._context.exclusive = worktree, True
                outcome = await self._runner.run(self._context)
        except NoPlace as none:
            return none.outcome
        except asyncio.CancelledError:
            # What is stopped only while its place is being closed has ended.
            if outcome is None:
                raise
        return outcome

    async def _may_begin(self) -> bool:
        try:
            directive = await self._lease.begin()
        except OrchestratorError as error:
            logger.warning("task %d: not begun, the first heartbeat failed: %s", self.task.id, error)
            return False
        if directive is Directive.CANCEL:
            await self.report(Released("cancelled before it began"))
        elif directive is Directive.PARK:
            await self.report(self._stopped_early(Stop.PARKED, None))
        elif self._stopped is not None:
            await self.report(Released("the worker is shutting down"))
        else:
            return True
        return False

    async def _outcome(self, work: asyncio.Task[Outcome]) -> Outcome | None:
        """What to report; None when the task is no longer this worker's to report on."""
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            self._context.cancelled.set()
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({work}, timeout=self._context.grace)
            raise
        if self._stopped is not None and self._stopped.silent:
            logger.warning("task %d: the lease is lost, nothing is reported", self.task.id)
            return None
        error = asyncio.CancelledError() if work.cancelled() else work.exception()
        ended = work.result() if error is None else None
        if self._stopped is None:
            return ended or self._failure(error)
        return ended if ended and not isinstance(ended, Failed) else self._stopped_early(self._stopped, ended)

    def _stopped_early(self, why: Stop, ended: Outcome | None) -> Outcome:
        known = self._notes.known
        usage: Usage | None = (ended and ended.usage) or known.get("usage")
        evidence = ended.evidence if ended else {}
        if why is Stop.TIMEOUT:
            message = f"stopped: it was still running after {self.task.timeout_seconds:g} s"
            return Failed(type="Timeout", message=message, usage=usage, evidence=evidence)
        if why is Stop.PARKED:
            return Parked(
                reason=ParkReason.BUDGET,
                session_id=known.get("session_id"),
                agent=known.get("agent"),
                message=self._lease.reason,
                usage=usage,
                evidence=evidence,
            )
        reason = "cancelled on request" if why is Stop.CANCELLED else "the worker is shutting down"
        return Released(reason, usage=usage, evidence=evidence)

    def _failure(self, error: BaseException | None) -> Outcome:
        if error is None or isinstance(error, asyncio.CancelledError):
            return Failed(type="Cancelled", message="the runner cancelled itself")
        if isinstance(error, CannotBegin):
            return Released(str(error), not_before=datetime.now(UTC) + timedelta(seconds=error.again_seconds))
        logger.error("task %d: the runner raised", self.task.id, exc_info=error)
        return Failed(type=type(error).__name__, message=str(error))

    async def report(self, outcome: Outcome) -> None:
        """Tell the server; a result that it refuses is reported as a failure instead."""
        if isinstance(outcome, Parked) and outcome.reason is ParkReason.QUOTA:
            self.quota_until = outcome.not_before
        if isinstance(outcome, Released) and outcome.stop:
            # First of all: the task must not come back to who can't do it.
            self._give_up(outcome.reason)
        try:
            task = await self._client.send(outcome.report(self.task.id, self.task.lease), REPORTING)
            logger.info("task %d: %s, now %s", self.task.id, type(outcome).__name__.lower(), task.status)
        except (LeaseLost, NotFound) as error:
            logger.warning("task %d: the report was refused: %s", self.task.id, error)
        except ServerUnreachable as error:
            logger.error("task %d: the report could not be sent: %s", self.task.id, error)  # noqa: TRY400  it says all
        except (OrchestratorError, TypeError, ValueError) as error:
            logger.error("task %d: the report was refused: %s", self.task.id, error)  # noqa: TRY400  it says all
            await self._report_refused(outcome, error)
        else:
            await self._places.settle(task, self._place)

    async def _report_refused(self, outcome: Outcome, error: Exception) -> None:
        """Say so instead of leaving the task to the end of its lease."""
        if isinstance(outcome, Done):
            message = f"the work was done, but its result could not be reported: {error}"
            await self.report(Failed(type=REFUSED, message=message, retryable=False))
        elif not isinstance(outcome, Failed) or outcome.type != REFUSED:
            await self.report(Failed(type=REFUSED, message=f"how the work ended could not be reported: {error}"))
