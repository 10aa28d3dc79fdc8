"""Files that one process at a time has locked; a process that ends, however it does, lets go."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

if os.name == "posix":
    import fcntl

_PAUSES: Final = (0.01, 0.5)


class Busy(Exception):
    """Somebody else has the lock."""


@contextlib.asynccontextmanager
async def locked(path: Path, seconds: float) -> AsyncIterator[int]:
    """Hold the lock, waiting so long for it; raises Busy. A child that inherits the file descriptor holds it, too.

    Whoever holds it may remove the file. Nobody is kept out where there is no `flock`.
    """
    until = time.monotonic() + seconds
    pause, most = _PAUSES
    while (fd := _take(path)) is None:
        if time.monotonic() >= until:
            raise Busy(f"{path} is locked")
        await asyncio.sleep(pause)
        pause = min(2 * pause, most)
    try:
        yield fd
    finally:
        os.close(fd)


def _take(path: Path) -> int | None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.name == "posix":
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it before may have removed the file: then the next one locks another of the same name.
        if os.path.samestat(os.fstat(fd), path.stat()):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None
