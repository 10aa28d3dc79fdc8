"""Backup: a directory or a file as an archive in another directory."""

import os
import stat
import tarfile
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import IO, Any, Final

from worker_client.contract.enums import LogStream
from worker_client.runners.base import RunContext
from worker_client.runners.functions.below import PATH_REFUSED, Below, inner_directory, names, plain_file
from worker_client.runners.functions.refusing import Refused

_NAMED: Final = 1000
_DEEPEST: Final = 100
_CHANGED: Final = "BackupIncomplete"


class Backup:
    """The archive is there when it is whole, or not at all."""

    def __init__(self, below: Below) -> None:
        self._below = below

    def backup(self, source: str, target: str, *, context: RunContext) -> dict[str, Any]:
        """Puts `source` into TARGET/name-time-task.tar.gz; symlinks are kept as symlinks."""
        what, where = PurePosixPath(self._below.located(source)), PurePosixPath(self._below.located(target))
        if where.is_relative_to(what):
            raise Refused(PATH_REFUSED, f"{target} is in {source}: each backup would hold those before it; use another directory")
        at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{what.name or 'root'}-{at}-{context.task.id}.tar.gz"
        with self._below.directory(target) as place:
            made = self._make(f".{name}.part", place, source, what.name or "root", context)
            os.rename(f".{name}.part", name, src_dir_fd=place, dst_dir_fd=place)
            size = os.stat(name, dir_fd=place, follow_symlinks=False).st_size
            os.fsync(place)
        archive = str(where / name)
        context.log(f"{made.files} files in {archive}, {size} bytes", LogStream.SYSTEM)
        if made.left:
            said = f"{len(made.left)} of the files can't be read; the others are in {archive}"
            raise Refused(_CHANGED, said, archive=archive, left=made.left[:_NAMED])
        return {"archive": archive, "files": made.files, "bytes": size}

    def _make(self, part: str, place: int, source: str, name: str, context: RunContext) -> "_Archive":
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(part, flags, 0o600, dir_fd=place), "wb") as file:
                with (
                    tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as tar,
                    self._below.entry(source) as found,
                ):
                    made = _Archive(tar, context)
                    made.add(*found, PurePosixPath(name), 0)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            os.unlink(part, dir_fd=place)
            raise
        return made


class _Archive:
    """`left`: what could not be read."""

    def __init__(self, tar: tarfile.TarFile, context: RunContext) -> None:
        self._tar = tar
        self._context = context
        self.files = 0
        self.left: list[str] = []

    def add(self, place: int, name: str, at: PurePosixPath, depth: int) -> None:
        """What has this name in a directory, and all that is in it."""
        try:
            found = os.stat(name, dir_fd=place, follow_symlinks=False)
            if depth == 0 and not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
                raise Refused(PATH_REFUSED, f"{at} is neither a directory nor a plain file; a symlink is not followed")
            if stat.S_ISDIR(found.st_mode):
                self._tar.addfile(_entry(at, found, tarfile.DIRTYPE))
                self._add_all(place, name, at, depth)
            elif stat.S_ISLNK(found.st_mode):
                entry = _entry(at, found, tarfile.SYMTYPE)
                entry.linkname = os.readlink(name, dir_fd=place)
                self._tar.addfile(entry)
            elif stat.S_ISREG(found.st_mode):
                self._add_file(place, name, at)
        except (PermissionError, FileNotFoundError, NotADirectoryError) as error:
            if depth == 0:
                raise
            self.left.append(f"{at}: {error.strerror}")

    def _add_all(self, place: int, name: str, at: PurePosixPath, depth: int) -> None:
        if depth >= _DEEPEST:
            self.left.append(f"{at}: more than {_DEEPEST} directories deep")
            return
        inner = inner_directory(name, within=place)
        try:
            for one in sorted(names(inner)):
                self.add(inner, one, at / one, depth + 1)
        finally:
            os.close(inner)

    def _add_file(self, place: int, name: str, at: PurePosixPath) -> None:
        try:
            number = plain_file(name, within=place)
        except Refused as refused:
            self.left.append(f"{at}: {refused}")
            return
        with os.fdopen(number, "rb") as file:
            entry = _entry(at, os.fstat(number), tarfile.REGTYPE)
            try:
                self._tar.addfile(entry, _Watched(file, self._context))  # type: ignore[arg-type]  # it needs `read` alone
            except OSError as error:
                raise Refused(_CHANGED, f"{at} could not be copied: {error}", retryable=True) from error
        self.files += 1


class _Watched:
    """A file that is read no further once the work has to stop."""

    def __init__(self, file: IO[bytes], context: RunContext) -> None:
        self._file = file
        self._context = context

    def read(self, size: int) -> bytes:
        """The next bytes."""
        if self._context.cancelled.is_set():
            raise Refused("Stopped", "stopped before the backup was whole", retryable=True)
        return self._file.read(size)


def _entry(at: PurePosixPath, found: os.stat_result, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(str(at))
    entry.type = kind
    entry.mode, entry.mtime = stat.S_IMODE(found.st_mode), found.st_mtime
    entry.uid, entry.gid = found.st_uid, found.st_gid
    entry.size = found.st_size if kind == tarfile.REGTYPE else 0
    return entry
