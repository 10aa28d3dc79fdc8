"""Keeps two runs from working in one directory of a machine, also when the first has lost its lease and its processes go on.

The server's leases come first; this is what holds when a machine does not do what it was told. A run that begins leaves a
record, a file that is locked (`flock`) by the guardian and by all that the program starts: until the last of them has ended.
Whoever comes next looks at the records of runs in the same directory, above it and below it. A run whose guardian was killed
has no one to end its processes: the next run of any worker of this user on this machine finds them by their mark, and ends
them before it begins.

On macOS a process whose parents have ended gets away from its guardian, and is found by its mark only; Windows has no locks.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from worker_client.errors import CannotBegin
from worker_client.remains import end_remains, guards, holders

if os.name == "posix":
    import fcntl

PATIENCE: Final = 30.0
"""Seconds that a run waits for another to end."""
_PAUSES: Final = (0.05, 1.0)


class Held:
    """The right to work in a directory; it is passed on to a guardian, and given up with the last copy of `fd`."""

    def __init__(self, mark: str, fd: int, record: Path) -> None:
        self.mark = mark
        self.fd = fd
        self.record = record

    def passed_on(self) -> None:
        """Leave it to those who have inherited it."""
        os.close(self.fd)

    def forget(self) -> None:
        """All that came of the run is gone."""
        self.record.unlink(missing_ok=True)


class _About(Struct, frozen=True):
    """What a run writes into its record; its guardian adds its process id."""

    directory: str
    exclusive: bool


class _Record(Struct, frozen=True):
    """What a run has left behind, or is still holding; `guardian`: None while it starts."""

    path: Path
    directory: str
    exclusive: bool
    guardian: int | None

    @property
    def mark(self) -> str:
        return self.path.stem


class _InTheWay(Struct):
    """Why a run can't begin yet: runs that go on, and runs that nobody guards any more."""

    busy: list[_Record] = []
    left: list[_Record] = []

    def reason(self) -> str:
        """In words, with the processes to look at."""
        if not self.busy:
            return "another worker is about to begin"
        record = self.busy[0]
        pids = ", ".join(map(str, holders(str(record.path)))) or "unknown"
        return f"an earlier run works in {record.directory} (processes {pids})"


class Locks:
    """The runs on this machine, in a folder that all workers of one user share."""

    def __init__(self, folder: Path, *, patience: float | None = None) -> None:
        # A home may be shared by machines; their processes are not.
        self._folder = folder / (socket.gethostname() or "localhost")
        self._patience = PATIENCE if patience is None else patience

    async def take(self, directory: str, *, exclusive: bool, waiting: Callable[[str], None]) -> Held | None:
        """Wait until nobody else works there, and keep others out; None on a system without such locks.

        `exclusive`: keep out everybody; else those who are exclusive. `waiting` is told once what for. Raises CannotBegin.
        """
        if os.name != "posix":
            return None
        until = time.monotonic() + self._patience
        pause, most = _PAUSES
        ended: set[str] = set()
        told = False
        while True:
            try:
                found = self._try(directory, exclusive=exclusive, ended=ended)
            except OSError as error:
                raise CannotBegin(f"{self._folder} can't be used to lock {directory}: {error}") from error
            if isinstance(found, Held):
                return found
            if found.left:
                for record in found.left:
                    await asyncio.to_thread(end_remains, record.mark)
                    ended.add(record.mark)
                continue
            if time.monotonic() >= until:
                reason = await asyncio.to_thread(found.reason)
                raise CannotBegin(f"{directory} is still in use on this machine: {reason}")
            if found.busy and not told:
                told = True
                waiting(f"waiting: {await asyncio.to_thread(found.reason)}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, most)

    async def sweep(self) -> None:
        """End what runs left behind whose guardians were killed, wherever they worked."""
        if os.name == "posix" and self._folder.exists():
            for record in self._records():
                if _is_free(record.path) or _is_unguarded(record):
                    await asyncio.to_thread(end_remains, record.mark)

    def _try(self, directory: str, *, exclusive: bool, ended: set[str]) -> Held | _InTheWay:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(self._folder / "mutex") as alone:
            found = _InTheWay() if alone else None
            if found is None:
                return _InTheWay()
            for record in self._records():
                free = _is_free(record.path)
                if free and record.mark in ended:
                    record.path.unlink(missing_ok=True)
                elif record.mark not in ended and (free or _is_unguarded(record)):
                    found.left.append(record)
                elif _overlap(record.directory, directory) and (exclusive or record.exclusive):
                    found.busy.append(record)
            return found if found.busy or found.left else self._record(directory, exclusive=exclusive)

    def _records(self) -> Iterator[_Record]:
        for path in self._folder.glob("*.run"):
            with contextlib.suppress(FileNotFoundError):
                yield _record_in(path)

    def _record(self, directory: str, *, exclusive: bool) -> Held:
        mark = secrets.token_hex(8)
        path = self._folder / f"{mark}.run"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.write(fd, msgspec.json.encode(_About(directory, exclusive)) + b"\n")
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        return Held(mark, fd, path)


def _record_in(path: Path) -> _Record:
    """What a file says; one that was being written, or was half written when the power went, may be about any directory."""
    about, _, guardian = path.read_bytes().partition(b"\n")
    try:
        known = msgspec.json.decode(about, type=_About)
        pid = int(guardian) if guardian.endswith(b"\n") else None
    except ValueError:
        known, pid = _About("/", exclusive=True), None
    return _Record(path, known.directory, known.exclusive, pid)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _lock(fd)
    finally:
        os.close(fd)


def _is_free(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return _lock(fd)
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_unguarded(record: _Record) -> bool:
    return record.guardian is not None and not guards(record.guardian, record.mark)


def _overlap(one: str, other: str) -> bool:
    return Path(one).is_relative_to(other) or Path(other).is_relative_to(one)
