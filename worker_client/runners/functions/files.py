"""File: reading a file, looking at what is there, and where that is allowed writing and deleting."""

import os
import secrets
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from worker_client.runners.functions.below import PATH_REFUSED, Below, names, plain_file, readable
from worker_client.runners.functions.refusing import Refused, invalid

MOST_BYTES: Final = 1024 * 1024
MOST_NAMES: Final = 1000


class Files:
    """`write`: whether it may change anything."""

    def __init__(self, below: Below, *, write: bool) -> None:
        self._below = below
        self._write = write

    def file(self, action: str, path: str, text: str | None = None) -> dict[str, Any]:
        """`read`, `exists`, `info`, `list`; `write` and `delete` where the settings allow them."""
        known: dict[str, Callable[[], dict[str, Any]]] = {
            "read": lambda: self._read(path),
            "exists": lambda: {"exists": self._info(path) is not None},
            "info": lambda: self._info(path) or self._missing(path),
            "list": lambda: self._list(path),
            "write": lambda: self._written(path, text),
            "delete": lambda: self._deleted(path),
        }
        named = str(action).strip().lower()
        if named not in known:
            raise invalid(f"{named[:40]!r} is nothing that can be done with a file: use one of {', '.join(known)}")
        if named in {"write", "delete"} and not self._write:
            raise Refused(
                "NotAllowed", f"File may only read here: {named} needs `write = true` in [functions.file] of worker.toml"
            )
        if text is not None and named != "write":
            raise invalid(f"{named} takes a path only; put quotes around one that has commas")
        return {"path": str(path).strip(), **known[named]()}

    def _read(self, path: str) -> dict[str, Any]:
        with self._below.entry(path) as (place, name), os.fdopen(plain_file(name, within=place), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(MOST_BYTES + 1)
        text = content[:MOST_BYTES].decode(errors="replace").replace("\0", "\ufffd")
        return {"size": max(size, len(content)), "text": text, "cut": len(content) > MOST_BYTES}

    def _info(self, path: str) -> dict[str, Any] | None:
        with self._below.entry(path) as (place, name):
            try:
                found = os.stat(name, dir_fd=place, follow_symlinks=False)
            except FileNotFoundError:
                return None
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
        modified = datetime.fromtimestamp(found.st_mtime, UTC).isoformat(timespec="seconds")
        return {"type": kinds.get(stat.S_IFMT(found.st_mode), "other"), "size": found.st_size, "modified_at": modified}

    def _missing(self, path: str) -> dict[str, Any]:
        raise Refused(PATH_REFUSED, f"{path} is not there")

    def _list(self, path: str) -> dict[str, Any]:
        with self._below.directory(path) as place:
            found = sorted(names(place))
        return {"names": [readable(name) for name in found[:MOST_NAMES]], "cut": len(found) > MOST_NAMES}

    def _written(self, path: str, text: str | None) -> dict[str, Any]:
        if text is None:
            raise invalid("there is nothing to write: write,PATH,TEXT")
        content = str(text).encode()
        with self._below.entry(path) as (place, name):
            beside = f".{name[:200]}.{secrets.token_hex(4)}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                with os.fdopen(os.open(beside, flags, 0o644, dir_fd=place), "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(beside, name, src_dir_fd=place, dst_dir_fd=place)
            except OSError:
                _remove(beside, place)
                raise
        return {"written": len(content)}

    def _deleted(self, path: str) -> dict[str, Any]:
        with self._below.entry(path) as (place, name):
            if not stat.S_ISREG(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
                raise Refused(PATH_REFUSED, f"{path} is no plain file")
            os.unlink(name, dir_fd=place)
        return {"deleted": True}


def _remove(name: str, place: int) -> None:
    try:
        os.unlink(name, dir_fd=place)
    except FileNotFoundError:
        return
