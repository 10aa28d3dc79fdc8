"""What is written down of each worktree, so that later attempts, and workers that come after a crash, know what it is."""

import logging
import os
import secrets
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from worker_client.contract.tasks import Task

logger = logging.getLogger("worker_client")


class Record(Struct, frozen=True, kw_only=True):
    """A worktree made for a task; `ready`: it was made to the end, so that somebody may have worked in it.

    Two servers may have a task of the same number: it is the same task if it was created at the same time.
    """

    task_id: int
    created_at: datetime
    server: str
    repository: str
    path: str
    branch: str
    base_commit: str
    at: datetime
    ready: bool = False

    def is_of(self, task: Task) -> bool:
        """Whether it was made for this task."""
        return (self.task_id, self.created_at) == (task.id, task.created_at)

    @property
    def is_there(self) -> bool:
        """Whether there is anything at its path."""
        return os.path.lexists(self.path)

    @property
    def file(self) -> Path:
        """Where it is written down: beside the worktree."""
        return record_of(Path(self.path))

    @property
    def lock(self) -> Path:
        """What is locked while somebody works in the worktree."""
        return self.file.with_suffix(".lock")


def record_of(path: Path) -> Path:
    """Where the record of a worktree is."""
    return path.with_name(f".{path.name}.json")


def is_taken(path: Path) -> bool:
    """Whether something is there, or was to be."""
    return os.path.lexists(path) or record_of(path).exists()


def keep(record: Record) -> None:
    """Write it down, on the disk when this returns."""
    draft = record.file.with_suffix(f".{secrets.token_hex(4)}")
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(record))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(record.file)


def forget(record: Record) -> None:
    """The worktree is no more; to be called with its lock held."""
    record.file.unlink(missing_ok=True)
    record.lock.unlink(missing_ok=True)


def recorded(path: Path) -> Record | None:
    """What is written down of a worktree; None when nothing is that can be read."""
    file = record_of(path)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("%s can't be read, so its worktree is left alone: %s", file, error)
        return None


def all_recorded(folder: Path) -> list[Record]:
    """All that are written down below the folder of worktrees."""
    paths = (file.with_name(file.stem[1:]) for file in sorted(folder.glob("*/.task-*.json")))
    return [record for record in map(recorded, paths) if record is not None]
