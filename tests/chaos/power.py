"""A disk that remembers what was written and what was synced, and tells what it holds when the power is cut.

SQLite's writes are recorded by an APSW VFS below the real store, which is handed APSW's connections.
"""

import io
import os
import random
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import apsw
import pytest
from msgspec import Struct

from orchestrator.store.sqlite import engine
from orchestrator.store.sqlite.engine import sqlite3

PAGES: Final = 60
"""A log that is longer is checkpointed."""
SECTOR: Final = 512
"""Bytes that a disk writes whole or not at all."""


class Op(Struct, frozen=True):
    """What was done to a file: `write` at an offset, `truncate` to a size, `sync`, `lose` (a sync that failed) or `delete`."""

    kind: str
    file: str
    at: int = 0
    data: bytes = b""


Left = Callable[[list[Op]], list[Op]]
"""What of the operations that were not synced reached the disk."""


class Disk:
    """Records what is done in `folder`; `durable`: what is there when a power cut has emptied the cache, if not the same."""

    def __init__(self, folder: Path, durable: dict[str, bytes] | None = None) -> None:
        self.ops: list[Op] = []
        self.syncs = 0
        self.fails: Container[int] = ()
        """Which syncs report an error."""
        self._begin = durable or {
            path.name: path.read_bytes() for path in folder.glob("*.db*") if path.suffix in {".db", ".db-wal"}
        }
        self._vfs = _Vfs(self)

    def sync(self, file: str) -> bool:
        """Whether it succeeds."""
        self.syncs += 1
        well = self.syncs not in self.fails
        self.ops.append(Op("sync" if well else "lose", file))
        return well

    def settle(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        """Have the store write its log over itself, and record that."""
        with patch.context() as within:
            within.setattr(Path, "open", lambda path, *_, **__: _Plain(self, path))
            within.setattr(os, "fsync", lambda _: self.sync(f"{path.name}-wal"))
            connection = self.connect(str(path))
            engine.settle(cast("Any", connection), path)
            connection.close()

    def connect(self, path: str) -> "Connection":
        return Connection(apsw.Connection(path, vfs=self._vfs.name))

    def close(self) -> None:
        self._vfs.unregister()

    def cut(self, at: int, left: Left) -> dict[str, bytes]:
        """The files after a power cut behind the first `at` operations."""
        durable: dict[str, bytes | None] = dict(self._begin)
        pending: list[Op] = []
        for op in self.ops[:at]:
            if op.kind in {"sync", "lose"}:
                if op.kind == "sync":
                    # What a failed sync lost is never written again: the cache takes it for written.
                    _apply(durable, [one for one in pending if one.file == op.file])
                pending = [one for one in pending if one.file != op.file]
            else:
                pending.append(op)
        _apply(durable, left(pending))
        return {name: data for name, data in durable.items() if data is not None}


def _apply(files: dict[str, bytes | None], ops: Sequence[Op]) -> None:
    for op in ops:
        data = files.get(op.file) or b""
        match op.kind:
            case "delete":
                files[op.file] = None
            case "truncate":
                files[op.file] = data[: op.at].ljust(op.at, b"\0")
            case _:
                files[op.file] = data[: op.at].ljust(op.at, b"\0") + op.data + data[op.at + len(op.data) :]


# What may be left of what was not synced


def nothing(_: list[Op]) -> list[Op]:
    return []


def everything(ops: list[Op]) -> list[Op]:
    return ops


def last(ops: list[Op]) -> list[Op]:
    return ops[-1:]


def grown(ops: list[Op]) -> list[Op]:
    """Files are as long as they were to become, and hold nothing new."""
    return [Op("write", op.file, op.at + len(op.data), b"") for op in ops if op.kind == "write"]


def some(ops: list[Op]) -> list[Op]:
    chance = random.Random(len(ops))
    return [op for op in ops if chance.random() < 0.5]


def torn(ops: list[Op]) -> list[Op]:
    """Some sectors of each."""
    chance = random.Random(len(ops))
    return [part for op in ops for part in _sectors(op) if chance.random() < 0.5]


def _sectors(op: Op) -> Iterator[Op]:
    if op.kind != "write":
        yield op
        return
    at, end = op.at, op.at + len(op.data)
    while at < end:
        stop = min(end, (at // SECTOR + 1) * SECTOR)
        yield Op("write", op.file, at, op.data[at - op.at : stop - op.at])
        at = stop


LEFT: Final = (nothing, everything, last, grown, some, torn)


# SQLite on the disk


class _Plain(io.FileIO):
    def __init__(self, disk: Disk, path: Path) -> None:
        super().__init__(path, "r+")
        self._disk = disk

    def write(self, data: Any) -> int:
        self._disk.ops.append(Op("write", Path(str(self.name)).name, self.tell(), bytes(data)))
        return super().write(data)


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.name = f"disk-{id(disk)}"
        self._disk = disk
        super().__init__(self.name, "")

    def xOpen(self, name: "apsw.URIFilename | str | None", flags: list[int]) -> "_File":  # noqa: N802 - SQLite's word
        return _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's word
        super().xDelete(filename, syncdir)
        self._disk.ops.append(Op("delete", Path(filename).name))


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: "apsw.URIFilename | str | None", flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "").name

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's word
        super().xWrite(data, offset)
        self._disk.ops.append(Op("write", self._name, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802 - SQLite's word
        super().xTruncate(size)
        self._disk.ops.append(Op("truncate", self._name, size))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's word
        if not self._disk.sync(self._name):
            raise apsw.IOError("disk I/O error")
        super().xSync(flags)


class _Found:
    def __init__(self, rows: list[Any], count: int) -> None:
        self._rows = rows
        self.rowcount = count

    def fetchall(self) -> list[Any]:
        return self._rows


class Connection:
    """An APSW connection in sqlite3's clothes, as far as the store looks."""

    isolation_level: str | None = None

    def __init__(self, real: apsw.Connection) -> None:
        self._real = real

    def close(self) -> None:
        with suppress(apsw.Error):
            self._real.close()

    def set_progress_handler(self, handler: Callable[[], bool], steps: int) -> None:
        self._real.set_progress_handler(handler, steps)

    @property
    def in_transaction(self) -> bool:
        return bool(self._real.in_transaction)

    def execute(self, statement: str, params: Sequence[Any] = ()) -> _Found:
        return self.executemany(statement, [params])

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]]) -> _Found:
        found: list[Any] = []
        count = 0
        try:
            for params in rows:
                found += self._real.execute(statement, params).fetchall()
                count += self._real.changes()
        except apsw.IOError as error:
            raised = sqlite3.OperationalError(str(error))
            raised.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise raised from error
        if statement == "COMMIT":
            self._checkpoint()
        return _Found(found, count)

    def _checkpoint(self) -> None:
        """As SQLite does by itself, which ignores the error that APSW would raise."""
        with suppress(apsw.Error):
            if self._real.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0] > PAGES:
                self._real.wal_checkpoint()


class Module:
    """sqlite3, with connections on a disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def connect(self, path: str, **_: Any) -> Connection:
        return self._disk.connect(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)
