"""Cleanup: removes plain files that are older than so many days, and tells which."""

import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Final

from worker_client.contract.enums import LogStream
from worker_client.runners.base import RunContext
from worker_client.runners.functions.below import Below, inner_directory, names, readable
from worker_client.runners.functions.refusing import Refused, invalid

_NAMED: Final = 1000
_DEEPEST: Final = 100
_DAY: Final = 86_400


class Cleanup:
    """Directories stay, also empty ones; symlinks are neither followed nor removed, nor other file systems entered."""

    def __init__(self, below: Below, now: Callable[[], float] = time.time) -> None:
        self._below = below
        self._now = now

    def cleanup(self, path: str, days: object, *, context: RunContext) -> dict[str, Any]:
        """Removes what was last changed more than `days` ago, here and in the directories below."""
        text = str(days).strip()
        if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text) or float(text) <= 0:
            raise invalid(f"{text[:40]!r} is no number of days: write one over 0, such as 7")
        done = _Done(self._now() - float(text) * _DAY, context)
        with self._below.directory(path) as place:
            done.clean(place, PurePosixPath(str(path).strip()), os.fstat(place).st_dev, 0)
        context.log(f"removed {done.removed} files, {done.bytes} bytes", LogStream.SYSTEM)
        return {
            "path": str(path).strip(),
            "days": float(text),
            "removed": done.removed,
            "bytes": done.bytes,
            "files": done.files,
            "left": done.left,
        }


class _Done:
    """What was removed; `left`: what should have been, and why it was not."""

    def __init__(self, before: float, context: RunContext) -> None:
        self._before = before
        self._context = context
        self.removed = 0
        self.bytes = 0
        self.files: list[str] = []
        self.left: list[str] = []

    def clean(self, place: int, at: PurePosixPath, device: int, depth: int) -> None:
        """This directory and those below."""
        for name in names(place):
            if self._context.cancelled.is_set():
                raise Refused("Stopped", f"stopped after {self.removed} files", retryable=True, files=self.files)
            try:
                found = os.stat(name, dir_fd=place, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode) and found.st_dev == device:
                    self._enter(place, name, at, device, depth)
                elif stat.S_ISREG(found.st_mode) and found.st_mtime < self._before:
                    # Of a name that has become something else by now: this takes no directory, and of a symlink only itself.
                    os.unlink(name, dir_fd=place)
                    self._count(str(at / name), found.st_size)
            except OSError as error:
                self._leave(f"{at / name}: {error.strerror}")

    def _enter(self, place: int, name: str, at: PurePosixPath, device: int, depth: int) -> None:
        if depth >= _DEEPEST:
            self._leave(f"{at / name}: more than {_DEEPEST} directories deep")
            return
        inner = inner_directory(name, within=place)
        try:
            if os.fstat(inner).st_dev == device:
                self.clean(inner, at / name, device, depth + 1)
        finally:
            os.close(inner)

    def _count(self, path: str, size: int) -> None:
        self.removed += 1
        self.bytes += size
        if len(self.files) < _NAMED:
            self.files.append(readable(path))

    def _leave(self, why: str) -> None:
        if len(self.left) < _NAMED:
            self.left.append(readable(why))
