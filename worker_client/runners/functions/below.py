"""Files below the paths that functions are allowed, come to without a symlink on the way."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Final

from worker_client.entering import opened
from worker_client.errors import CannotBegin
from worker_client.runners.functions.refusing import Refused, invalid

PATH_REFUSED: Final = "PathRefused"
# Opening a pipe must not wait for who writes into it.
_AS_IT_IS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_SUPPORTED: Final = hasattr(os, "O_DIRECTORY") and os.open in os.supports_dir_fd and os.scandir in os.supports_fd


class Below:
    """`paths`: directories; each stands for what it leads to now, and for nothing that is put into its place later."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._roots = {PurePosixPath(name): os.path.realpath(path) for path in paths for name in (path, os.path.realpath(path))}

    def located(self, path: object) -> str:
        """Where a path is, by its text alone. Raises Refused for one that is not below the allowed ones."""
        named = str(path).strip()
        given = PurePosixPath("/" + named.lstrip("/"))
        if not named.startswith("/") or ".." in given.parts or "\0" in named:
            raise invalid(f"{named[:1000]!r} is no path that can be used: write an absolute one, without `..`")
        for root, real in self._roots.items():
            if given.is_relative_to(root):
                return str(PurePosixPath(real, given.relative_to(root)))
        allowed = ", ".join(dict.fromkeys(self._roots.values()))
        raise Refused(PATH_REFUSED, f"{given} is not below what this worker allows its functions: {allowed}")

    @contextmanager
    def directory(self, path: object) -> Iterator[int]:
        """A directory, to be read."""
        with self._opened(self.located(path)) as place:
            found = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
            try:
                yield found
            finally:
                os.close(found)

    @contextmanager
    def entry(self, path: object) -> Iterator[tuple[int, str]]:
        """The directory that something is in, and its name there; of an allowed path, itself and `.`."""
        located = PurePosixPath(self.located(path))
        is_root = str(located) in self._roots.values()
        with self._opened(str(located if is_root else located.parent)) as place:
            yield place, "." if is_root else located.name

    @contextmanager
    def _opened(self, directory: str) -> Iterator[int]:
        if not _SUPPORTED:
            raise Refused(PATH_REFUSED, "this function works on Linux and macOS only")
        try:
            place = opened(directory)
        except CannotBegin as error:
            raise Refused(PATH_REFUSED, str(error)) from error
        try:
            yield place
        except OSError as error:
            raise Refused(PATH_REFUSED, f"{error.filename or directory}: {error.strerror or error}") from error
        finally:
            os.close(place)


def plain_file(name: str, *, within: int) -> int:
    """A plain file, opened to be read. Raises Refused for anything else."""
    try:
        found = os.open(name, os.O_RDONLY | _AS_IT_IS, dir_fd=within)
    except OSError as error:
        raise Refused(PATH_REFUSED, f"{name} can't be read: {error.strerror}; a symlink is not followed") from error
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise Refused(PATH_REFUSED, f"{name} is no plain file")
    return found


def inner_directory(name: str, *, within: int) -> int:
    """A directory in one that is open; raises OSError when it is none, or a symlink."""
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | _AS_IT_IS, dir_fd=within)


def names(directory: int) -> list[str]:
    """What is in an open directory."""
    with os.scandir(directory) as found:
        return [entry.name for entry in found]


def readable(name: str) -> str:
    """A name as text, also one that is no UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
