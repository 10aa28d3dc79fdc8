"""Which worktree is a task's: the one made before, or a name that nobody has taken."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Final

from worker_client.contract.tasks import Task
from worker_client.git import Git
from worker_client.worktrees.making import has_branch
from worker_client.worktrees.records import Record, is_taken, keep, recorded
from worker_client.worktrees.repository import Repository, is_worktree

PREFIX: Final = "orchestrator"


async def reserve(home: Path, task: Task, repository: Repository, server: str, now: datetime) -> Record:
    """The record of the task's worktree in this folder; to be called with the repository's lock.

    A worktree that somebody made another thing of is left alone, and the task gets a new one.
    """
    git = Git(repository.common)
    # Where a branch has this name, none can be in a folder of it.
    prefix = f"{PREFIX}-" if await has_branch(git, PREFIX) else f"{PREFIX}/"
    for name in _names(task.id):
        path = home / name
        record = recorded(path)
        if record is not None and record.is_of(task):
            if not record.ready or not record.is_there or await is_worktree(record.path, record.repository):
                return record
            continue
        # Also by branches in a folder of this name.
        if is_taken(path) or await git("for-each-ref", "--count=1", f"refs/heads/{prefix}{name}"):
            continue
        record = Record(
            task_id=task.id,
            created_at=task.created_at,
            server=server,
            repository=str(repository.common),
            path=str(path),
            branch=f"{prefix}{name}",
            base_commit=repository.head,
            at=now,
        )
        keep(record)
        return record
    raise AssertionError("there is always another name")  # pragma: no cover


def _names(task_id: int) -> Iterator[str]:
    yield f"task-{task_id}"
    for number in count(2):
        yield f"task-{task_id}-{number}"
