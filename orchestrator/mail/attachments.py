"""Puts what is attached to a mail into a folder of its own, within limits."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from orchestrator.mail.names import harmless
from orchestrator.mail.reading import Attached

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


class Limits(Struct, frozen=True, kw_only=True):
    """Of the attachments of one mail; all but `count` in bytes."""

    each: int
    count: int
    total: int


def save(attached: Sequence[Attached], directory: Path | None, mail: str, limits: Limits) -> list[dict[str, Any]]:
    """Save them below `directory`, where `mail` names this mail's folder; what and where they are, for templates.

    `path` is None of those that are not saved, and `note` says why. The files are on the disk when this returns, or none of them.
    Raises OSError.
    """
    described, saved = _planned(attached, limits, wanted=directory is not None)
    if directory is None or not saved:
        return described
    folder = directory.absolute() / mail
    for number, name in saved.items():
        described[number]["path"] = str(folder / name)
    # It is there when the server stopped before it could tell; its name says that it is of this very mail.
    if not folder.exists():
        _write(folder, {name: attached[number].content for number, name in saved.items()})
    return described


def remove(directory: Path | None, mail: str) -> None:
    """Take away the attachments of a mail that nobody wanted in the end."""
    if directory is not None:
        shutil.rmtree(directory.absolute() / mail, ignore_errors=True)


def _planned(attached: Sequence[Attached], limits: Limits, *, wanted: bool) -> tuple[list[dict[str, Any]], dict[int, str]]:
    described: list[dict[str, Any]] = []
    saved: dict[int, str] = {}
    total = 0
    for number, one in enumerate(attached):
        size, note = len(one.content), None
        name = harmless(one.name, number + 1, [str(other["name"]) for other in described])
        if not wanted:
            note = "not saved: email.attachments_directory is empty"
        elif size > limits.each:
            note = f"not saved: larger than email.max_attachment_bytes = {limits.each}"
        elif len(saved) >= limits.count:
            note = f"not saved: more than email.max_attachments = {limits.count}"
        elif total + size > limits.total:
            note = f"not saved: all together larger than email.max_attachments_bytes = {limits.total}"
        else:
            total += size
            saved[number] = name
        described.append({"name": name, "path": None, "size": size, "content_type": one.content_type, "note": note})
    return described, saved


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """All of them, or none: under another name first."""
    folder.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=_FOLDER_MODE)
    for name, content in files.items():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(partial / name, flags, _FILE_MODE), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    _settle(partial)
    partial.rename(folder)
    _settle(folder.parent)


def _settle(folder: Path) -> None:
    """The names in a folder, on the disk; where folders cannot be opened, the system does it by itself."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
