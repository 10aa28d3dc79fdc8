"""A file below a folder, written whole or not at all, and never through a link."""

import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_DRAFT: Final = ".draft"
_FORGOTTEN_S: Final = 3600
"""A draft that is this old is of a server that was killed."""


def put(root: Path, name: str, text: str, *, fresh: bool) -> None:
    """Have a file say this; until the last moment it says what it said.

    Raises FileExistsError when it is to be `fresh`, FileNotFoundError when it is not, OSError.
    """
    folder = _folder(root, Path(name).parent.parts)
    path = folder / Path(name).name
    _refuse_link(path)
    _clean(folder)
    draft = folder / f".{path.name}.{secrets.token_hex(4)}{_DRAFT}"
    try:
        with draft.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            # Of two servers that make the same one only the first may.
            os.link(draft, path)
        else:
            path.stat()  # raises, when there is none
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _kept(folder)


def dropped(root: Path, name: str) -> None:
    """Delete a file. Raises FileNotFoundError, OSError."""
    path = root / name
    for parent in list(path.parents)[: len(Path(name).parts) - 1]:
        _refuse_link(parent)
    path.unlink()
    _kept(path.parent)


def _folder(root: Path, parts: tuple[str, ...]) -> Path:
    folder = root
    _make(folder)
    for part in parts:
        folder /= part
        _refuse_link(folder)
        _make(folder)
    return folder


def _make(folder: Path) -> None:
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(f"{folder} is no folder") from None
    _kept(folder.parent)


def _refuse_link(path: Path) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISLNK(path.lstat().st_mode):
            raise OSError(f"{path} is a link: write to what it leads to")


def _clean(folder: Path) -> None:
    old = time.time() - _FORGOTTEN_S
    for draft in folder.glob(f".*{_DRAFT}"):
        with suppress(OSError):
            if draft.stat().st_mtime < old:
                draft.unlink()


def _kept(folder: Path) -> None:
    """A folder's entries outlive a power cut, where folders can be told to."""
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
