"""A backup is a copy of one moment; served, it takes nobody for somebody else who was told more since."""

import os
import resource
import stat
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.store.copying.copy import Copy
from orchestrator.store.copying.end import CopyFailedError
from orchestrator.store.copying.sqlite import SQLiteEnd
from orchestrator.store.protocol import DatabaseInUseError
from orchestrator.store.sqlite import backup
from orchestrator.store.sqlite.engine import sqlite3
from orchestrator.store.sqlite.migrate import migrate
from orchestrator.store.sqlite.store import SQLiteStore
from tests.rig import HOUR, START, Rig
from worker_client.contract.enums import Status
from worker_client.errors import Conflict, LeaseLost, NotFound


@pytest.fixture
def restored_to(tmp_path: Path) -> Path:
    """A folder for a backup, so that a rig can open it."""
    folder = tmp_path / "restored"
    folder.mkdir()
    return folder


def back_up(source: Path, target: Path, at: int = START, **options: Any) -> None:
    backup.back_up(source, target, lambda: at, **options)


def path(rig: Rig) -> Path:
    """The file of an embedded store."""
    assert isinstance(rig.store, SQLiteStore)
    return rig.store.path


def restore(rig: Rig, folder: Path, *, after_ms: int = HOUR) -> Rig:
    """The same time later on the backup."""
    rig.time.pass_(after_ms)
    return Rig(folder, "sqlite", time=rig.time)


def test_what_ran_waits_again_and_its_old_lease_is_refused(embedded: Rig, restored_to: Path) -> None:
    before = embedded.running("/a", exclusive=True)
    failed = embedded.running("/b")
    embedded.do(ops.Fail(task_id=failed.task_id, lease=failed.lease, error='{"type": "x", "message": "x"}', retryable=True))
    back_up(path(embedded), restored_to / "queue.db")
    after = embedded.running("/c")
    embedded.do(ops.Complete(task_id=before.task_id, lease=before.lease))

    restored = restore(embedded, restored_to)
    try:
        assert restored.status(before.task_id) is Status.WAITING
        assert restored.head(before.task_id).attempt == 0
        for grant in (before, after):
            with pytest.raises((LeaseLost, NotFound)):
                restored.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
        again = restored.take("/a")
        assert again.task_id == before.task_id
        assert int(again.lease.split(".")[1]) > int(before.lease.split(".")[1]) + 1_000
        assert restored.head(failed.task_id).attempt == 1
        kept, counted = restored.counts()
        assert kept == counted
    finally:
        restored.close()


def test_numbers_are_never_given_twice(embedded: Rig, restored_to: Path) -> None:
    first = embedded.running("/a")
    back_up(path(embedded), restored_to / "queue.db")
    later = [embedded.add("/b") for _ in range(50)]
    version = embedded.head(first.task_id).version
    epoch = embedded.store.epoch
    restored = restore(embedded, restored_to)
    first_id = restored.add("/b")
    # A thousand a second might have been given out.
    assert first_id > later[-1] + HOUR
    assert restored.head(first.task_id).version > version + 1_000
    assert restored.store.epoch != epoch
    ids = [row[0] for row in restored.fetch("SELECT id FROM events WHERE type = 'task.released'")]
    assert min(ids) > 1_000_000
    epoch = restored.store.epoch
    restored.close()
    # Only the first start makes it another database.
    again = restore(embedded, restored_to)
    assert again.store.epoch == epoch
    assert again.add("/b") == first_id + 1
    again.close()


def test_a_backup_of_nothing_can_be_served(embedded: Rig, restored_to: Path) -> None:
    back_up(path(embedded), restored_to / "queue.db")
    restored = restore(embedded, restored_to)
    task_id = restored.add("/a")
    restored.close()
    assert task_id > 1_000_000


def test_it_is_one_whole_file_for_its_owner_alone(embedded: Rig, tmp_path: Path) -> None:
    embedded.add("/a")
    target = tmp_path / "there" / "copy.db"
    target.parent.mkdir()
    seen: list[tuple[int, int]] = []
    back_up(path(embedded), target, tell=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0
    assert os.listdir(target.parent) == ["copy.db"]  # noqa: PTH208 - a name is a name
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with sqlite3.connect(target) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
        assert copy.execute("PRAGMA journal_mode").fetchall() == [("delete",)]
        assert copy.execute("SELECT count(*) FROM tasks").fetchall() == [(1,)]
    copy.close()


def test_it_replaces_nothing_unless_it_is_told_to(embedded: Rig, tmp_path: Path) -> None:
    source = path(embedded)
    target = tmp_path / "copy.db"
    target.write_bytes(b"precious")
    with pytest.raises(Conflict, match="--force"):
        back_up(source, target)
    with pytest.raises(Conflict, match="itself"):
        back_up(source, source, force=True)
    with pytest.raises(Conflict, match="folder"):
        back_up(source, tmp_path, force=True)
    assert target.read_bytes() == b"precious"
    back_up(source, target, force=True)
    assert target.read_bytes().startswith(b"SQLite format 3")
    (tmp_path / "copy.db-wal").write_bytes(b"")
    with pytest.raises(Conflict, match="in use"):
        back_up(source, target, force=True)
    with pytest.raises(NotFound):
        back_up(tmp_path / "none.db", tmp_path / "other.db")


def test_a_backup_is_served_before_it_is_copied(embedded: Rig, tmp_path: Path) -> None:
    back_up(path(embedded), tmp_path / "copy.db")
    source, target = SQLiteEnd(tmp_path / "copy.db", writes=False), SQLiteEnd(tmp_path / "other.db", writes=True)
    with pytest.raises(Conflict, match="serve it once"):
        Copy(source, target).begin()
    source.close()
    target.close()


def test_a_backup_of_a_copy_that_was_made_long_ago_skips_what_was_given_out_since(embedded: Rig, restored_to: Path) -> None:
    embedded.add("/a")
    made_at = embedded.time.at
    copied = restored_to / "copy.db"
    back_up(path(embedded), copied, made_at)
    # Nobody serves it, so nothing in it says how late it is.
    back_up(copied, restored_to / "queue.db", made_at + 24 * HOUR)
    restored = restore(embedded, restored_to, after_ms=25 * HOUR)
    first_id = restored.add("/a")
    restored.close()
    assert first_id > 25 * HOUR


def test_a_backup_is_not_taken_for_the_database_whose_log_lies_beside_it(embedded: Rig, restored_to: Path) -> None:
    kept = embedded.add("/a")
    back_up(path(embedded), restored_to / "queue.db")
    embedded.add("/b")
    log = restored_to / "queue.db-wal"
    log.write_bytes(path(embedded).with_name("queue.db-wal").read_bytes())
    with pytest.raises(DatabaseInUseError, match="and start again"):
        migrate(restored_to / "queue.db")
    log.unlink()
    restored = restore(embedded, restored_to)
    assert restored.fetch("SELECT id FROM tasks") == [(kept,)]
    restored.close()


def test_a_log_whose_database_was_removed_is_nothing(embedded: Rig, restored_to: Path) -> None:
    embedded.add("/a")
    (restored_to / "queue.db-wal").write_bytes(path(embedded).with_name("queue.db-wal").read_bytes())
    begun = restore(embedded, restored_to)
    assert begun.fetch("SELECT count(*) FROM tasks") == [(0,)]
    begun.close()


def test_what_a_killed_backup_left_is_in_nobodys_way(embedded: Rig, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    # In a container every run may have the same number.
    left = tmp_path / f".{target.name}.{os.getpid()}.part"
    left.touch()
    back_up(path(embedded), target)
    assert target.is_file()
    assert left.stat().st_size == 0


def test_a_backup_that_does_not_fit_leaves_nothing(embedded: Rig, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    # More than is written at the end alone.
    for _ in range(6):
        embedded.add("/a", prompt="x" * 1_000_000)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, most[1]))
    try:
        with pytest.raises(CopyFailedError):
            back_up(path(embedded), there / "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert list(there.iterdir()) == []
