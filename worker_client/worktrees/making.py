"""Making a worktree with its branch, and taking both away when nothing of them would be lost."""

import asyncio
import logging
import random
import shutil
from pathlib import Path
from typing import Final

import psutil
from msgspec import structs

from worker_client.git import Git, GitError
from worker_client.worktrees.records import Record, forget, keep
from worker_client.worktrees.repository import is_worktree
from worker_client.worktrees.stakes import at_stake

logger = logging.getLogger("worker_client")
TRIES: Final = 8
"""How often to try what failed because somebody else was writing to the repository."""


async def make(record: Record, git: Git) -> Record:
    """Make what the record describes: also when that was begun before and came to no end, or the directory has gone since.

    To be called with the locks of worktree and repository; raises GitError.
    """
    keep(record)
    if not record.ready:
        # Nobody has worked in it yet.
        await asyncio.to_thread(shutil.rmtree, record.path, ignore_errors=True)
    await _unregister(record, git)
    if not await has_branch(git, record.branch):
        await _patiently(git, "update-ref", f"refs/heads/{record.branch}", record.base_commit, "0" * len(record.base_commit))
    await _patiently(git, "worktree", "add", "--quiet", record.path, record.branch)
    await _protect(record, git)
    record = structs.replace(record, ready=True)
    keep(record)
    return record


async def has_branch(git: Git, branch: str) -> bool:
    """Whether there is a branch of this name."""
    return await git.succeeds("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")


async def end_stale_lock(record: Record) -> None:
    """Remove the lock on the index that a git left which was killed; a git that runs there keeps it."""
    if await is_worktree(record.path, record.repository):
        name = await Git(record.path).line("rev-parse", "--git-path", "index.lock")
        await asyncio.to_thread(_unlock, record, Path(record.path, name))


def _unlock(record: Record, lock: Path) -> None:
    if lock.exists() and not _git_runs_in(record.path):
        logger.warning("task %d: removing %s, which no running git holds", record.task_id, lock)
        lock.unlink(missing_ok=True)


def _git_runs_in(directory: str) -> bool:
    for process in psutil.process_iter(["name", "cwd", "status"]):
        name, where = process.info["name"] or "", process.info["cwd"]
        if not name.startswith("git") or process.info["status"] in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}:
            continue
        # Where another user's git is cannot be told.
        if where is None or Path(where).is_relative_to(directory):
            return True
    return False


async def remove(record: Record, git: Git) -> str | None:
    """Take worktree and branch away; if something would be lost, or git refuses, say why it stays.

    To be called with the locks of worktree and repository.
    """
    if not record.ready:
        await asyncio.to_thread(shutil.rmtree, record.path, ignore_errors=True)
    try:
        await end_stale_lock(record)
        if (reason := await at_stake(record)) is not None:
            return reason
        await _take_away(record, git)
    except (GitError, OSError) as error:
        if record.is_there:
            await _protect(record, git)
        return f"git can't remove it: {error}"
    forget(record)
    return None


async def _take_away(record: Record, git: Git) -> None:
    branch = f"refs/heads/{record.branch}"
    tip = await git.line("rev-parse", branch) if await has_branch(git, record.branch) else None
    await git.succeeds("worktree", "unlock", record.path)
    if record.is_there:
        await git("worktree", "remove", record.path, seconds=None)
    else:
        await git.succeeds("worktree", "remove", record.path)
    if tip is not None and f"\nbranch {branch}\n" not in await git("worktree", "list", "--porcelain"):
        # Only as it was looked at: git refuses when it has moved.
        await _patiently(git, "update-ref", "-d", branch, tip)
        await git.succeeds("config", "--remove-section", f"branch.{record.branch}")


async def _unregister(record: Record, git: Git) -> None:
    """Have git forget a worktree whose directory isn't there."""
    await git.succeeds("worktree", "unlock", record.path)
    await git.succeeds("worktree", "remove", record.path)


async def _protect(record: Record, git: Git) -> None:
    """Locked, a worktree is neither pruned nor removed by mistake."""
    await git.succeeds("worktree", "lock", "--reason", f"task {record.task_id} of the orchestrator", record.path)


async def _patiently(git: Git, *arguments: str) -> None:
    for attempt in range(TRIES):
        try:
            await git(*arguments, seconds=None)
        except GitError as error:
            if not error.contended or attempt == TRIES - 1:
                raise
            await asyncio.sleep(0.05 * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311  spreads the load
        else:
            return
