"""Which directories a worker works in: real ones, below those it was given, and nowhere else."""

import os
from collections.abc import Sequence
from pathlib import Path

from worker_client.contract.tasks import ClaimedTask
from worker_client.errors import ConfigurationError


def real(directories: Sequence[str | Path], *, existing: bool) -> list[str]:
    """The directories with symlinks resolved, each once; raises ConfigurationError for one that is none."""
    found: dict[str, None] = {}
    for directory in directories:
        path = os.path.realpath(Path(directory).expanduser())
        if existing and not Path(path).is_dir():
            raise ConfigurationError(f"{directory} is no directory on this machine; create it, or name another one")
        found[path] = None
    return list(found)


class Ground:
    """The directories of one worker; `fence`: work nowhere else than below these."""

    def __init__(
        self,
        directories: Sequence[str | Path],
        *,
        recursive: bool,
        fence: Sequence[str | Path] = (),
        existing: bool = True,
    ) -> None:
        self.directories = real(directories, existing=existing)
        if not self.directories:
            raise ConfigurationError("a worker needs at least one directory to work in; pass --dir PATH")
        self._recursive = recursive
        fences = real(fence, existing=existing)
        outside = [path for path in self.directories if fences and not any(_below(one, path) for one in fences)]
        if outside:
            raise ConfigurationError(f"{outside[0]} isn't below any of the allowed paths {', '.join(fences)}")

    def objection(self, task: ClaimedTask, *, existing: bool) -> str | None:
        """Why this worker must not work in the task's directory; None when it may."""
        named = task.work_directory
        path = os.path.realpath(named)
        if os.path.normcase(path) != os.path.normcase(named):
            # Two names of one directory would be two leases on it.
            return f"{named} leads to {path} on this machine; create the task for that name"
        inside = _below if self._recursive else _same
        if not any(inside(directory, path) for directory in self.directories):
            return f"{named} isn't among this worker's directories {', '.join(self.directories)}"
        if existing and not Path(path).is_dir():
            return f"{named} is no directory on this machine"
        return None


def _same(one: str, other: str) -> bool:
    return os.path.normcase(one) == os.path.normcase(other)


def _below(outer: str, inner: str) -> bool:
    return Path(os.path.normcase(inner)).is_relative_to(os.path.normcase(outer))
