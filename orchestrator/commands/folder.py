"""The folder of commands: what its files say now, and files that are written whole or not at all."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from orchestrator.commands.writing import dropped, put
from orchestrator.domain.command import Command, Commands
from orchestrator.domain.commands import LARGEST, NAME, parse

MOST_FILES: Final = 1_000
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of all of them, as they are kept in memory."""
_DEEPEST: Final = 8
_SUFFIX: Final = ".md"
_SETTLED_NS: Final = 2 * 10**9
"""A file that changed this lately may change again without its time telling it."""
_WITHOUT_WAITING: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_CHANGE: Final = (0, 0, 0, 0)


class _Seen(NamedTuple):
    """A file as a look finds it; `state` is the same for as long as it says the same, `problem`: why it is not read."""

    path: str
    state: tuple[int, int, int, int]
    problem: str | None = None


class Folder:
    """Reads files again only when they have changed; a look costs no more than asking for their times."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: Commands = {}
        self._seen: dict[str, _Seen] = {}

    def look(self) -> bool:
        """Whether any command is another one than at the last look, or none any more."""
        now = time.time_ns()
        seen = dict(self._found())
        commands, left = {}, MOST_BYTES
        for name, file in seen.items():
            known = self.commands.get(name)
            if known is None or file != self._seen.get(name) or abs(now - file.state[0]) < _SETTLED_NS:
                known = self._read(name, file, left)
            left -= len(known.body)
            commands[name] = known
        changed = commands != self.commands
        self.commands, self._seen = commands, seen
        return changed

    def write(self, name: str, text: str, *, fresh: bool) -> None:
        """Have a command's file say this. Raises FileExistsError when it is to be `fresh`, OSError."""
        put(self.root, f"{name}{_SUFFIX}", text, fresh=fresh)

    def drop(self, name: str) -> None:
        """Delete a command's file. Raises FileNotFoundError, OSError."""
        dropped(self.root, f"{name}{_SUFFIX}")

    def _found(self) -> Iterator[tuple[str, _Seen]]:
        left = MOST_FILES
        for name, seen in _files(str(self.root), os.path.realpath(self.root), "", 0):
            left -= 1
            if left < 0:
                return
            yield name, seen

    def _read(self, name: str, file: _Seen, left: int) -> Command:
        updated_at = max(0, file.state[0] // 10**6)
        problem = file.problem
        if problem is None and (not NAME.fullmatch(name) or file.state[1] > LARGEST):
            # No more of it is looked at than that.
            problem = parse("x", name).problem or f"it has more than {LARGEST:,} bytes"
        if problem is None and file.state[1] > left:
            problem = f"the folder has more than {MOST_BYTES:,} bytes in its files"
        if problem is None:
            try:
                return replace(parse(_text(file.path), name), updated_at=updated_at)
            except UnicodeDecodeError:
                problem = "it is no text in UTF-8"
            except OSError as error:
                problem = f"it cannot be read: {error.strerror or error}"
        return Command(name=name, problem=problem, updated_at=updated_at)


def _files(folder: str, root: str, before: str, depth: int) -> Iterator[tuple[str, _Seen]]:
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        name = before + os.fsencode(entry.name).decode(errors="replace")
        with suppress(OSError):
            if entry.is_symlink() and not _within(os.path.realpath(entry.path), root):
                if entry.name.endswith(_SUFFIX) or entry.is_dir():
                    yield name.removesuffix(_SUFFIX), _Seen(entry.path, _NO_CHANGE, "it is a link that leads out of the folder")
            elif entry.is_dir(follow_symlinks=False):
                if depth < _DEEPEST:
                    yield from _files(entry.path, root, f"{name}/", depth + 1)
            elif entry.name.endswith(_SUFFIX):
                found = entry.stat()
                state = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)
                problem = None if stat.S_ISREG(found.st_mode) else "it is no file"
                yield name.removesuffix(_SUFFIX), _Seen(entry.path, state, problem)


def _within(path: str, root: str) -> bool:
    return f"{path}{os.sep}".startswith(f"{root}{os.sep}")


def _text(path: str) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | _WITHOUT_WAITING), "rb") as file:
        return file.read(LARGEST + 1).decode()
