"""A copy of a database file, as it was at one moment, while a server goes on writing to it."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from orchestrator.domain.task import Millis
from orchestrator.store.copying.end import CopyFailedError
from orchestrator.store.sqlite.engine import sqlite3
from orchestrator.store.sqlite.migrate import refuse_newer
from orchestrator.store.sqlite.restoring import BACKUP
from orchestrator.store.transaction import ALIVE_AT
from worker_client.errors import Conflict, NotFound

_PAGES: Final = 2_000
"""Copied between two calls of who watches: 8 MB."""

Tell = Callable[[int, int], None]
"""Hears how many of how many pages are copied."""


def back_up(
    source: Path, target: Path, now: Callable[[], Millis], *, force: bool = False, tell: Tell = lambda *_: None
) -> Millis:
    """Make `target` a copy that is on disk and can be served; when it was as it is. `force`: in place of a file that is there.

    Raises NotFound, Conflict, NewerSchemaError, CopyFailedError.
    """
    if not source.is_file():
        raise NotFound(f"there is no database at {source}")
    _free(source, target, force=force)
    try:
        # A name that nobody else has, not even one that was killed and had the number of this process.
        number, name = mkstemp(".part", f".{target.name}.", target.parent)
        os.close(number)
        made = Path(name)
        try:
            at = _copy(source, made, now, tell)
            _sync(made)
            _put(made, target, force=force)
        finally:
            for beside in ("", "-journal", "-wal", "-shm"):
                made.with_name(made.name + beside).unlink(missing_ok=True)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise CopyFailedError(f"{source} could not be copied to {target}: {error}") from error
    return at


def _free(source: Path, target: Path, *, force: bool) -> None:
    if target.is_dir():
        raise Conflict(f"{target} is a folder: name a file in it")
    if target.exists() and target.samefile(source):
        raise Conflict(f"{target} is the database itself: name another file")
    if target.with_name(f"{target.name}-wal").exists():
        raise Conflict(f"{target} is a database that is in use, or was when its server died: name another file")
    if target.exists() and not force:
        raise Conflict(f"{target} is there already: name another file, or say --force to replace it")


def _copy(source: Path, made: Path, now: Callable[[], Millis], tell: Tell) -> Millis:
    address = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as here:
        # What is read stays as it is now, so that the copy need not begin anew whenever somebody writes.
        here.execute("BEGIN")
        refuse_newer(here, source)
        alive_at = here.execute("SELECT value FROM meta WHERE key = ?", (ALIVE_AT,)).fetchone()
        at = now()
        # What is copied may itself be a copy, made long ago: since the last commit in it others can have been given numbers.
        since = str(at) if alive_at is None else alive_at[0]
        with closing(sqlite3.connect(str(made), isolation_level=None)) as there:
            there.execute("PRAGMA synchronous = OFF")
            here.backup(there, pages=_PAGES, progress=lambda _, remaining, total: tell(total - remaining, total))
            # One file, without a log beside it.
            there.execute("PRAGMA journal_mode = DELETE").fetchall()
            there.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (BACKUP, since))
    return at


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _put(made: Path, target: Path, *, force: bool) -> None:
    """Give it its name, in one step."""
    if force:
        made.replace(target)
        return
    try:
        os.link(made, target)
    except FileExistsError:
        raise Conflict(f"{target} has come to be meanwhile: name another file, or say --force to replace it") from None
