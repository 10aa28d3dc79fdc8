"""Where the workers of one user keep, on one machine, what outlives a process: locks, sessions of agents, worktrees."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from worker_client.errors import ConfigurationError

PARTS: Final = ("locks", "sessions", "worktrees")
_ONLY_OURS: Final = 0o700


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder, symlinks resolved, with `locks/`, `sessions/` and `worktrees/` in it, made when missing.

    `$ORCHESTRATOR_STATE_DIR`, else `task-orchestrator` in `$XDG_STATE_HOME` or in `~/.local/state`. Nobody else may look into it.
    Raises ConfigurationError when it can't be made, or belongs to somebody else.
    """
    folder = _chosen(environ)
    try:
        folder.mkdir(mode=_ONLY_OURS, parents=True, exist_ok=True)
        folder = folder.resolve()
        for path in (folder, *(folder / part for part in PARTS)):
            path.mkdir(mode=_ONLY_OURS, exist_ok=True)
            if os.name == "posix" and path.stat().st_mode & 0o777 != _ONLY_OURS:
                path.chmod(_ONLY_OURS)
    except OSError as error:
        raise ConfigurationError(
            f"the state folder {folder} can't be used: {error.strerror}: {error.filename};"
            " name another one in ORCHESTRATOR_STATE_DIR"
        ) from error
    return folder


def _chosen(environ: Mapping[str, str]) -> Path:
    if named := environ.get("ORCHESTRATOR_STATE_DIR"):
        return Path(named).absolute()
    base = Path(environ.get("XDG_STATE_HOME") or "")
    if not base.is_absolute():
        home = environ.get("HOME") or environ.get("USERPROFILE")
        if not home:
            raise ConfigurationError("there is no HOME to keep state in; name a folder in ORCHESTRATOR_STATE_DIR")
        base = Path(home, ".local", "state").absolute()
    return base / "task-orchestrator"
