"""Which session of which agent was made in which directory, on this machine: an agent finds a session again only there."""

import contextlib
import hashlib
import logging
import os
import re
import secrets
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from worker_client.contract.reports import Usage

logger = logging.getLogger("worker_client")
MOST: Final = 10_000
"""Records of one agent; when there are more, the oldest go."""
_PRUNED_TO: Final = MOST * 9 // 10
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


class Session(Struct, frozen=True, kw_only=True):
    """A session as it was last worked in; `worktree`: the one that `directory` is in. `used`: in all of its runs."""

    agent: str
    session_id: str
    directory: str
    task_id: int
    at: datetime
    worktree: str | None = None
    used: Usage = field(default_factory=Usage)

    def is_of(self, directory: str) -> bool:
        """Whether it was made in this very directory."""
        return os.path.normcase(self.directory) == os.path.normcase(directory)


def remember(state: Path, session: Session) -> None:
    """Write down where a session is, in place of what was written of it before; that it can't be is only logged."""
    path = _path(state, session.agent, session.session_id)
    draft = path.with_name(f".{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _prune(path.parent)
        draft.write_bytes(msgspec.json.encode(session))
        draft.replace(path)
    except (OSError, ValueError) as error:
        logger.warning(
            "session %r of %r can't be written down, so it can't be resumed: %s", session.session_id, session.agent, error
        )
        with contextlib.suppress(OSError):
            draft.unlink()


def recorded(state: Path, agent: str, session_id: str) -> Session | None:
    """What is known of a session; None when it wasn't made on this machine, or is forgotten."""
    path = _path(state, agent, session_id)
    try:
        session = msgspec.json.decode(path.read_bytes(), type=Session)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("what is written down of session %r of %r can't be read: %s: %s", session_id, agent, path, error)
        return None
    return session if (session.agent, session.session_id) == (agent, session_id) else None


def _path(state: Path, agent: str, session_id: str) -> Path:
    return state / "sessions" / _file_name(agent) / f"{_file_name(session_id)}.json"


def _file_name(name: str) -> str:
    """The name itself when no file system could take it for something else."""
    return name if _PLAIN.fullmatch(name) else f"={hashlib.sha256(name.encode(errors='replace')).hexdigest()}"


def _prune(folder: Path) -> None:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    if len(names) < MOST:
        return
    aged: list[tuple[float, str]] = []
    for name in names:
        try:
            aged.append(((folder / name).stat().st_mtime, name))
        except FileNotFoundError:
            continue
    for _, name in sorted(aged)[: len(names) - _PRUNED_TO]:
        (folder / name).unlink(missing_ok=True)
