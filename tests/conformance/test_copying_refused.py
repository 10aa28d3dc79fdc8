"""What is not copied, and what is said then."""

import contextlib
import sqlite3
from pathlib import Path

import psycopg
import pytest
from filelock import FileLock

from orchestrator.domain import operations as ops
from orchestrator.store.copying.end import CopyFailedError
from orchestrator.store.copying.opening import opened
from orchestrator.store.postgres.engine import SERVED
from orchestrator.store.protocol import DatabaseInUseError
from tests.copies import address, copied, dump, full, meta, run, serve, ways
from tests.rig import HOUR, STORES, Rig
from worker_client.errors import Conflict, NotFound, ValidationFailed


@ways
def test_a_target_with_tasks_is_left_alone(kind: str, other: str, tmp_path: Path) -> None:
    source, target = full(kind, tmp_path / "one"), full(other, tmp_path / "two")
    before = dump(target), meta(target)
    with pytest.raises(Conflict, match=r"is not empty, it holds \d+ tasks, .*: name an empty database"):
        copied(source, target)
    assert (dump(target), meta(target)) == before


@pytest.mark.parametrize("kind", STORES)
def test_a_finished_copy_is_said_to_be_one(kind: str, tmp_path: Path) -> None:
    source, target = full("sqlite", tmp_path / "one"), address(kind, tmp_path / "two")
    copied(source, target)
    with pytest.raises(Conflict, match=r"holds a copy of .* that is finished"):
        copied(source, target)


@pytest.mark.parametrize("kind", STORES)
def test_a_target_that_was_served_and_is_empty_is_filled(kind: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path / "two", kind)
    for _ in range(50):
        rig.do(ops.Delete(task_id=rig.add()))
    rig.do(ops.Prune(before=rig.time.at + HOUR, keys_before=rig.time.at))
    rig.close()
    target = address(kind, tmp_path / "two")
    run(target, "DELETE FROM events", "DELETE FROM task_counts", "DELETE FROM task_rates")
    copied(full("sqlite", tmp_path / "one"), target)
    rig = Rig(tmp_path / "two", kind)
    assert rig.add() == 51
    rig.close()


def test_files_in_use_are_left_alone(tmp_path: Path) -> None:
    source, target = full("sqlite", tmp_path / "one"), address("sqlite", tmp_path / "two")
    with FileLock(tmp_path / "one" / "queue.db.lock"), pytest.raises(DatabaseInUseError, match="used by another process"):
        copied(source, target)
    (tmp_path / "two").mkdir()
    with FileLock(tmp_path / "two" / "queue.db.lock"), pytest.raises(DatabaseInUseError, match="used by another process"):
        copied(source, target)
    copied(source, target)


@pytest.mark.parametrize("served", ["one", "two"])
def test_databases_in_use_are_left_alone(served: str, tmp_path: Path) -> None:
    full("postgres", tmp_path / "one")
    source, target = (address("postgres", tmp_path / name) for name in ("one", "two"))
    with psycopg.connect(address("postgres", tmp_path / served), application_name="somebody") as connection:
        connection.execute("SELECT pg_advisory_lock_shared(%s)", [SERVED])
        with pytest.raises(DatabaseInUseError, match=r"is used by somebody from .* \(process \d+\): stop all its servers first"):
            copied(source, target)
    copied(source, target)


@pytest.mark.parametrize("kind", STORES)
def test_a_server_does_not_start_within_a_copy(kind: str, tmp_path: Path) -> None:
    source, target = full("sqlite", tmp_path / "one"), address(kind, tmp_path / "two")
    with opened(source, target):
        for served, name in (("sqlite", "one"), (kind, "two")):
            with pytest.raises(DatabaseInUseError):
                serve(served, tmp_path / name)
    copied(source, target)


def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/target.db"
    with pytest.raises(NotFound, match="there is no database at"):
        copied(f"sqlite:///{tmp_path}/none.db", target)
    run(address("postgres", tmp_path), "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    with pytest.raises(NotFound, match="there are no tasks at"):
        copied(address("postgres", tmp_path), target)
    (tmp_path / "text.db").write_text("no database at all, but long enough to be one" * 100)
    with pytest.raises(CopyFailedError, match="not a database"):
        copied(f"sqlite:///{tmp_path}/text.db", target)
    assert list(tmp_path.glob("target*")) == []
    with pytest.raises(ValidationFailed, match="expected the address of a file") as refused:
        copied(target, "mysql://me:secret@there/tasks")
    assert refused.value.details["field"] == "--to"
    assert "secret" not in str(refused.value)
    with pytest.raises(CopyFailedError, match="refused") as failed:
        copied(full("sqlite", tmp_path / "one"), "postgresql://me:secret@127.0.0.1:1/tasks")
    assert "secret" not in str(failed.value)
    with pytest.raises(ValidationFailed, match="the source itself"):
        copied(target, target)


@pytest.mark.parametrize("kind", STORES)
def test_versions_that_differ_are_refused(kind: str, tmp_path: Path) -> None:
    source, target = full("sqlite", tmp_path / "one"), address(kind, tmp_path / "two")
    run(source, "ALTER TABLE events ADD COLUMN more TEXT")
    with pytest.raises(Conflict, match="newer version, events has more"):
        copied(source, target)
    run(source, "ALTER TABLE events DROP COLUMN more", "ALTER TABLE task_inputs DROP COLUMN key")
    with pytest.raises(Conflict, match="older version, task_inputs has no key"):
        copied(source, target)


def test_rows_that_break_a_rule_of_the_target_are_named(tmp_path: Path) -> None:
    source = full("sqlite", tmp_path / "one")
    with contextlib.closing(sqlite3.connect(tmp_path / "one" / "queue.db", isolation_level=None)) as database:
        database.execute("INSERT INTO dependencies VALUES (999999, 1, 0)")
    for kind in STORES:
        with pytest.raises(CopyFailedError, match=r"dependencies.*(?i:foreign key)"):
            copied(source, address(kind, tmp_path / f"two {kind}"))


def test_leases_that_touch_each_other_are_not_stored(tmp_path: Path) -> None:
    source, target = full("sqlite", tmp_path / "one"), address("postgres", tmp_path / "two")
    run(source, "UPDATE tasks SET lease_mode = 2 WHERE path = '/shared'")
    with pytest.raises(Conflict, match="2 leases of running tasks touch each other"):
        copied(source, target)
    assert "copying" in meta(target)
    assert run(target, "SELECT * FROM leases") == []
