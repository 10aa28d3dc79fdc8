"""A git worktree and branch for every task, below the worker's state folder; never removed while something would be lost."""

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from worker_client.client import AsyncClient
from worker_client.contract.enums import LogStream
from worker_client.contract.tasks import Task
from worker_client.errors import ConfigurationError, NotFound, OrchestratorError
from worker_client.file_lock import Busy, locked
from worker_client.git import Git, GitError, GitMissing
from worker_client.places import NoPlace, Place
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Failed, Released
from worker_client.worktrees.making import end_stale_lock, make, remove
from worker_client.worktrees.records import Record, all_recorded, recorded
from worker_client.worktrees.repository import NoRepository, Repository, repository_of
from worker_client.worktrees.reserving import reserve
from worker_client.worktrees.stakes import at_stake
from worker_client.worktrees.survey import survey

logger = logging.getLogger("worker_client")
PATIENCE: Final = 60.0
SURVEY_SECONDS: Final = 30.0
AGAIN: Final = timedelta(seconds=30)
NOT_OVER: Final = "its task is not over"
T = TypeVar("T")
_SILENT: Final = frozenset({"lost", "expiring"})
"""Work that is stopped for one of these is not reported on."""


class Worktree(Place, kw_only=True):
    """A place that is a worktree, or a directory in one."""

    record: Record


class Worktrees:
    """One per task, in `folder`; retries and answers find it again.

    `patience`: seconds to wait for an earlier attempt to leave it, and for others who make worktrees of the repository.
    Raises ConfigurationError when there is no git.
    """

    def __init__(
        self, folder: Path, *, patience: float = PATIENCE, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        if shutil.which("git") is None:
            raise ConfigurationError("worktrees need git; install it, or run the worker without --worktree")
        self._folder = folder.resolve()
        self._patience = patience
        self._now = now
        self._tidied = False

    @asynccontextmanager
    async def open(self, context: RunContext) -> AsyncIterator[Worktree]:
        """The task's worktree: made at its first attempt, looked at when the run ends."""
        async with contextlib.AsyncExitStack() as held:
            place = await self._opened(context, held)
            try:
                yield place
            finally:
                if context.stopping not in _SILENT:
                    await _look(place, context)

    async def _opened(self, context: RunContext, held: contextlib.AsyncExitStack) -> Worktree:
        try:
            repository = await repository_of(context.directory)
            record = await self._made(context, repository, held)
            directory = _directory_in(record, repository.inner)
        except NoRepository as error:
            raise NoPlace(Failed(type="Worktree", message=str(error), retryable=False)) from error
        except (GitError, OSError) as error:
            raise NoPlace(Failed(type="Worktree", message=f"no worktree could be made: {error}")) from error
        except Busy as error:
            reason = f"an earlier attempt still uses the task's worktree, or others the repository: {error}"
            raise NoPlace(Released(reason, not_before=self._now() + AGAIN)) from error
        except GitMissing as error:
            raise NoPlace(Released(str(error), stop=True)) from error
        facts = {"worktree": record.path, "branch": record.branch, "base_commit": record.base_commit}
        context.log(f"worktree {record.path}, branch {record.branch}, from {record.base_commit[:12]}", LogStream.SYSTEM)
        return Worktree(directory=directory, evidence=facts, record=record)

    async def _made(self, context: RunContext, repository: Repository, held: contextlib.AsyncExitStack) -> Record:
        """The record of a worktree that is there, and that nobody else uses while `held` is open."""
        home = self._folder / repository.folder
        while True:
            async with locked(home / ".lock", self._patience):
                record = await reserve(home, context.task, repository, context.server_url, self._now())
            await held.enter_async_context(locked(record.lock, self._patience))
            async with locked(home / ".lock", self._patience) as fd:
                if recorded(Path(record.path)) == record:
                    if not record.ready or not record.is_there:
                        return await make(record, Git(repository.common, lock=fd))
                    await end_stale_lock(record)
                    return record
            # Whoever had it until now took it away, or made it.
            await held.aclose()

    async def settle(self, task: Task, place: Place) -> None:
        """Remove the worktree of a task that is over, unless something would be lost."""
        if isinstance(place, Worktree) and task.status.final:
            _log(place.record, await _to_its_end(self._remove(place.record)))

    async def tidy(self, client: AsyncClient) -> None:
        """Remove what earlier workers left of tasks that are over; when the server can't be asked, it stays."""
        if self._tidied:
            return
        self._tidied = True
        try:
            async for record, reason in self.sweep(client):
                if reason != NOT_OVER:
                    _log(record, reason)
        except OrchestratorError as error:
            logger.warning("worktrees of earlier tasks stay as they are, the server can't be asked: %s", error)

    async def sweep(self, client: AsyncClient) -> AsyncIterator[tuple[Record, str | None]]:
        """Remove the worktrees of tasks of this server that are over; yields each, with the reason why it stays, if it does.

        Raises OrchestratorError when the server can't be asked.
        """
        for record in await asyncio.to_thread(all_recorded, self._folder):
            if record.server == client.url:
                over = await _is_over(client, record)
                yield record, await _to_its_end(self._remove(record)) if over else NOT_OVER

    async def _remove(self, record: Record) -> str | None:
        """Take it away, or say why it stays."""
        try:
            async with locked(record.lock, 0), locked(Path(record.path).with_name(".lock"), self._patience) as fd:
                if recorded(Path(record.path)) != record:
                    return "somebody else has just made or removed it"
                return await remove(record, Git(record.repository, lock=fd))
        except Busy:
            return "it is in use"
        except (GitMissing, OSError) as error:
            return str(error)


def _log(record: Record, reason: str | None) -> None:
    if reason is None:
        logger.info("task %d: removed the worktree %s: nothing in it would be lost", record.task_id, record.path)
    else:
        logger.warning("task %d: the worktree %s stays: %s", record.task_id, record.path, reason)


async def _is_over(client: AsyncClient, record: Record) -> bool:
    try:
        task = await client.get(record.task_id)
    except NotFound:
        return True
    return task.status.final or not record.is_of(task)


async def _look(place: Worktree, context: RunContext) -> None:
    """Add what became of the worktree to the evidence."""
    try:
        async with asyncio.timeout(SURVEY_SECONDS):
            await end_stale_lock(place.record)
            place.evidence.update(await survey(place.record))
            kept = await at_stake(place.record)
    except (TimeoutError, GitError, GitMissing, OSError) as error:
        kept = f"it could not be looked at: {str(error) or type(error).__name__}"
    if kept is not None:
        place.evidence["kept"] = kept
        context.log(f"the worktree {place.record.path} is kept: {kept}", LogStream.SYSTEM)


def _directory_in(record: Record, inner: Path) -> str:
    """The same directory in the worktree: made when it isn't in the commit; raises NoRepository when it leads elsewhere."""
    directory = os.path.join(record.path, inner)  # noqa: PTH118  normalised, it would lose what is to be seen
    if os.path.realpath(directory) != os.path.normpath(directory):
        raise NoRepository(
            f"in commit {record.base_commit[:12]}, {inner} leads to {os.path.realpath(directory)}, out of the worktree"
        )
    Path(directory).mkdir(parents=True, exist_ok=True)
    return os.path.normpath(directory)


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """What is cut short would leave half of it."""
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
