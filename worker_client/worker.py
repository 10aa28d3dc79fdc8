"""The worker: asks for tasks while it has a free place, runs them, drains when told to stop."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from worker_client.asking import Asker
from worker_client.client import AsyncClient
from worker_client.clock import BootClock, Clock
from worker_client.contract.tasks import ClaimedTask, ClaimMany, Task
from worker_client.directories import Ground
from worker_client.endpoints import Call
from worker_client.errors import ConfigurationError
from worker_client.job import Job
from worker_client.lease import Stop
from worker_client.locks import Locks
from worker_client.places import OwnDirectory, Places
from worker_client.refusals import Refusals
from worker_client.runners.base import Particular, Runner
from worker_client.runners.function import Handler, HandlerRunner
from worker_client.runners.outcomes import Released
from worker_client.shift import Shift
from worker_client.state import state_folder

logger = logging.getLogger("worker_client")
CONFIRM_SECONDS = 15.0
"""A claim whose first heartbeat doesn't come within this goes back: its answer was lost."""


class Worker:
    """Runs tasks of the kinds it has runners for, in the directories it was given.

    >>> worker = Worker(directories=["/home/me/repo"])
    >>> @worker.handler("greeting")
    ... def greet(context):
    ...     return f"Hello, {context.task.prompt}"
    >>> worker.run()  # doctest: +SKIP

    `client`: a client, or the server's address. `concurrency`: how many tasks at a time. `recursive`: also directories below.
    `fence`: refuse directories that aren't below one of these. `agent`: of agent tasks ask for those of this one only; `account`:
    what its quota hangs on. `exclusive`: have each directory to itself. `drain_seconds`: how long running tasks may go on after
    SIGTERM before they are given back. `until_idle`: end when nothing waits. `max_tasks`: end after so many. `shift`: what it
    shares with other Workers of this process, instead of these two. `places`: where tasks that need their directory run, such
    as Worktrees; by default in the directory itself.
    """

    def __init__(  # noqa: PLR0913  what a worker can be given
        self,
        client: AsyncClient | str | None = None,
        *,
        directories: Sequence[str | Path],
        runners: Iterable[Runner] = (),
        kinds: Iterable[str] | None = None,
        concurrency: int = 1,
        recursive: bool = True,
        fence: Sequence[str | Path] = (),
        host: str | None = None,
        worker_id: str | None = None,
        agent: str | None = None,
        account: str | None = None,
        exclusive: bool = False,
        tags: Sequence[str] = (),
        places: Places | None = None,
        lease_seconds: float = 60.0,
        poll_seconds: float = 30.0,
        drain_seconds: float = 60.0,
        until_idle: bool = False,
        max_tasks: int | None = None,
        shift: Shift | None = None,
        clock: Clock | None = None,
    ) -> None:
        if concurrency < 1:
            raise ConfigurationError(f"concurrency is {concurrency}; a worker needs room for at least one task")
        self.client = client if isinstance(client, AsyncClient) else AsyncClient(client)
        self.host = socket.gethostname() if host is None else host
        self.worker_id = worker_id or f"{self.host}-{os.getpid()}-{secrets.token_hex(4)}"
        self._runners = {runner.kind: runner for runner in runners}
        self._kinds = None if kinds is None else set(kinds)
        self._directories, self._recursive, self._fence = directories, recursive, fence
        self._concurrency = concurrency
        self.agent, self._account, self._exclusive = agent, account, exclusive
        self._tags = list(tags)
        self._places = places or OwnDirectory()
        self._lease_seconds = lease_seconds
        self._shift = shift or Shift(until_idle=until_idle, max_tasks=max_tasks)
        self._shift.join(self)
        self._poll_seconds = 0.0 if self._shift.until_idle else poll_seconds
        self._drain_seconds = drain_seconds
        self._clock = clock or BootClock()
        self._asker = Asker(self.client, self._clock, impatient=self._shift.until_idle)
        self._jobs: dict[asyncio.Task[None], Job | None] = {}
        self._refusals = Refusals(self._clock)
        self._place_free = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self.unable: str | None = None
        """Why it asks for nothing more, when it can do no task like those it was given."""
        self._quota_until: datetime | None = None

    @property
    def jobs(self) -> list[Job]:
        """What it does at present."""
        return [job for job in self._jobs.values() if job is not None]

    @property
    def free(self) -> int:
        """How many places are free."""
        return self._concurrency - len(self._jobs)

    @property
    def trouble(self) -> str | None:
        """Why the server has given no answer, if it hasn't."""
        return self._asker.trouble

    @property
    def quota_until(self) -> datetime | None:
        """Until when its account has nothing left, as far as it was told."""
        until = self._quota_until
        return until if until is not None and until > datetime.now(UTC) else None

    def handler(self, kind: str) -> Callable[[Handler], Handler]:
        """Decorate the function that does the work of one kind; it is called with a RunContext and returns the result."""

        def register(function: Handler) -> Handler:
            self._runners[kind] = HandlerRunner(kind, function)
            return function

        return register

    @property
    def kinds(self) -> list[str]:
        """The kinds it asks for: those it has runners for, and was told to."""
        return sorted(kind for kind in self._runners if self._kinds is None or kind in self._kinds)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; a second one gives everything back at once."""
        asyncio.run(self._run_with_signals())

    async def _run_with_signals(self) -> None:
        self._shift.heed_signals()
        await self.serve()

    def drain(self) -> None:
        """Ask for nothing more, let what runs end within `drain_seconds`; called again: give everything back now."""
        self._shift.drain()

    def give_up(self, reason: str) -> None:
        """Ask for nothing more: it can do no task like those it was given."""
        if self.unable is None:
            logger.error("%s asks for nothing more: %s", self.worker_id, reason)
        self.unable = self.unable or reason
        if self._asking is not None:
            self._asking.cancel()

    async def serve(self) -> None:
        """Work until drained. Raises ConfigurationError, and what the server answers to a first question it refuses."""
        if not self.kinds:
            raise ConfigurationError("no runner for any kind of task: register a handler, or name kinds this worker can run")
        if self.unable is not None:
            self._shift.leave(self)
            await self.client.close()
            return
        existing = any(self._runners[kind].needs_directory for kind in self.kinds)
        if existing:
            await Locks(state_folder() / "locks").sweep()
        ground = Ground(self._directories, recursive=self._recursive, fence=self._fence, existing=existing)
        logger.info(
            "%s asks %s for %s tasks in %s", self.worker_id, self.client.url, ", ".join(self.kinds), ", ".join(ground.directories)
        )
        self._asking = asking = asyncio.create_task(self._ask(ground))
        tidying = asyncio.create_task(self._places.tidy(self.client))
        over, draining = asyncio.create_task(self._shift.over.wait()), asyncio.create_task(self._shift.draining.wait())
        try:
            await asyncio.wait({asking, over}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                asking.cancel()
            await asyncio.wait({asking})
            self._shift.leave(self)
            await self._finish_jobs(draining)
            if not asking.cancelled():
                asking.result()
        finally:
            self._shift.leave(self)
            for task in (asking, over, draining, tidying, *self._jobs):
                task.cancel()
            await asyncio.gather(asking, over, draining, tidying, *self._jobs, return_exceptions=True)
            await self.client.close()

    async def _finish_jobs(self, draining: asyncio.Task[bool]) -> None:
        """Let what runs end by itself; from the moment of draining for `drain_seconds` or until hurried, then stop it."""
        ending: asyncio.Future[Any] = asyncio.gather(*self._jobs, return_exceptions=True)
        await asyncio.wait({ending, draining}, return_when=asyncio.FIRST_COMPLETED)
        hurry: asyncio.Future[Any] = asyncio.ensure_future(self._shift.hurried.wait())
        overdue: asyncio.Future[Any] = asyncio.ensure_future(self._clock.sleep(self._drain_seconds))
        try:
            await asyncio.wait({ending, hurry, overdue}, return_when=asyncio.FIRST_COMPLETED)
            self._stop_jobs(Stop.HURRIED if self._shift.hurried.is_set() else Stop.DRAINED)
            await asyncio.wait({ending, hurry}, return_when=asyncio.FIRST_COMPLETED)
            self._stop_jobs(Stop.HURRIED)
            await ending
        finally:
            hurry.cancel()
            overdue.cancel()

    def _stop_jobs(self, why: Stop) -> None:
        for job in self._jobs.values():
            if job is not None:
                job.stop(why)

    async def _ask(self, ground: Ground) -> None:
        while limit := await self._free_places():
            ends = self._shift.ends
            if (answer := await self._asker.ask(self._question(ground, limit))) is None:
                continue
            for task in answer.tasks:
                self._begin(task, ground)
            if answer.drain:
                self._shift.told_to_drain()
            if self._shift.until_idle and not answer.tasks and not await self._shift.more_to_ask(self, ends):
                return
            if pause := self._refusals.pause():
                await self._clock.sleep(pause)

    async def _free_places(self) -> int:
        """How many tasks to ask for, once there is a free place; 0 when this worker has had all it was to do."""
        while (free := self._concurrency - len(self._jobs)) <= 0:
            self._place_free.clear()
            await self._place_free.wait()
        return free if self._shift.left is None else min(free, self._shift.left)

    def _question(self, ground: Ground, limit: int) -> ClaimMany:
        return ClaimMany(
            work_path=ground.directories,
            worker_id=self.worker_id,
            wait=self._poll_seconds,
            lease_seconds=self._lease_seconds,
            recursive=self._recursive,
            kinds=self.kinds,
            tags=self._tags,
            host=self.host,
            account=self._account,
            agent=self.agent,
            exclusive=self._exclusive,
            poll_id=secrets.token_hex(12),
            confirm_seconds=CONFIRM_SECONDS,
            limit=limit,
        )

    def _begin(self, claimed: ClaimedTask, ground: Ground) -> None:
        runner = self._runners.get(claimed.kind)
        if runner is None or claimed.kind not in self.kinds:
            objection: str | None = f"this worker runs {', '.join(self.kinds)}, not {claimed.kind}"
        else:
            objection = ground.objection(claimed, existing=runner.needs_directory)
            if objection is None and isinstance(runner, Particular):
                objection = runner.objection(claimed)
        if runner is None or objection is not None:
            logger.warning("task %d: given back: %s", claimed.id, objection)
            self._release(claimed, objection or "", self._refusals.note(claimed.id))
            return
        if not self._shift.begin():
            # Another Worker of this process was quicker.
            self._release(claimed, "this worker has begun as many tasks as it was to")
            return
        logger.info("task %d: attempt %d, %s in %s", claimed.id, claimed.attempt, claimed.kind, claimed.work_directory)
        job = Job(
            self.client,
            claimed,
            runner,
            directory=claimed.work_directory,
            places=self._places if runner.needs_directory else OwnDirectory(),
            exclusive=claimed.exclusive or self._exclusive,
            lease_seconds=self._lease_seconds,
            clock=self._clock,
            drain=self._shift.told_to_drain,
            give_up=self.give_up,
        )
        self._start(job, asyncio.create_task(job.run()))

    def _release(self, claimed: ClaimedTask, reason: str, hold_seconds: float = 0.0) -> None:
        not_before = datetime.now(UTC) + timedelta(seconds=hold_seconds) if hold_seconds else None
        report = Released(reason, not_before=not_before).report(claimed.id, claimed.lease)
        self._start(None, asyncio.create_task(self._send(report)))

    async def _send(self, report: Call[Task]) -> None:
        await self.client.send(report)

    def _start(self, job: Job | None, running: asyncio.Task[None]) -> None:
        self._jobs[running] = job
        running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        if (job := self._jobs.pop(running)) is not None:
            self._shift.end()
            self._quota_until = job.quota_until or self._quota_until
        self._place_free.set()
        if not running.cancelled() and (error := running.exception()) is not None:
            logger.error("a task could not be handled", exc_info=error)
