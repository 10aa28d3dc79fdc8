"""A copy has everything, is compared, can be gone on with, and is served as its source was."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import __version__
from orchestrator.domain import operations as ops
from orchestrator.store.copying.copy import Copy
from orchestrator.store.copying.end import CopyFailedError, End
from orchestrator.store.copying.opening import opened
from orchestrator.store.copying.tables import KEYS
from orchestrator.store.copying.unfinished import refuse_unfinished
from orchestrator.store.protocol import DatabaseInUseError
from orchestrator.store.sqlite.migrate import migrate
from tests import copies
from tests.copies import address, copied, dump, full, meta, run, serve, ways
from tests.rig import HOUR, STORES, Rig, Time, enqueue, interest, new_task
from tests.serving import Server
from worker_client.contract.enums import Status
from worker_client.errors import Conflict, LeaseLost

ELSEWHERE = {"meta", "leases", "askers", "task_index", "task_words"}
FTS5 = {f"task_words_{part}" for part in ("data", "idx", "docsize", "config")}
BOOKKEEPING = {"_migrations", "_sqlite_migrations", "sqlite_sequence"}


@pytest.mark.parametrize("kind", STORES)
def test_every_table_is_copied_or_known_not_to_be(kind: str, tmp_path: Path) -> None:
    Rig(tmp_path, kind).close()
    listed = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table'",
        "postgres": "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
    }
    tables = {name for (name,) in run(address(kind, tmp_path), listed[kind])} - BOOKKEEPING
    assert tables == KEYS.keys() | (ELSEWHERE if kind == "postgres" else {"meta", "task_index", "task_words", *FTS5})


@ways
def test_a_copy_has_everything(kind: str, other: str, tmp_path: Path) -> None:
    source, target = full(kind, tmp_path / "one"), address(other, tmp_path / "two")
    compared = copied(source, target)
    rows = {table.table: table.rows for table in compared}
    assert [table for table, count in rows.items() if not count] == []
    assert {table.mended for table in compared} == {0}
    before, after = dump(source), dump(target)
    assert {table: len(after[table]) for table in KEYS} == rows
    if kind == other:
        assert after == before
    one, two = Rig(tmp_path / "one", kind), Rig(tmp_path / "two", other)
    assert two.heads() == one.heads()
    assert {head.status for head in two.heads().values()} == set(Status)
    assert two.counts()[0] == two.counts()[1]
    assert two.store.epoch not in {"", one.store.epoch}
    one.close()
    two.close()
    assert meta(target).keys() - {"ahead"} == {"alive_at", "epoch", "copied", "migrated_by"}


@ways
def test_a_database_that_was_never_served_is_copied(kind: str, other: str, tmp_path: Path) -> None:
    if kind == "sqlite":
        migrate(tmp_path / "one" / "queue.db")
    assert meta(address(kind, tmp_path / "one")) == {"migrated_by": __version__}
    copied(address(kind, tmp_path / "one"), address(other, tmp_path / "two"))
    rig = Rig(tmp_path / "two", other)
    assert (rig.add(), rig.events[0].id) == (1, 1)
    rig.close()


def test_there_and_back_again(tmp_path: Path) -> None:
    source = full("sqlite", tmp_path / "one")
    copied(source, address("postgres", tmp_path / "two"))
    copied(address("postgres", tmp_path / "two"), address("sqlite", tmp_path / "three"))
    assert dump(address("sqlite", tmp_path / "three")) == dump(source)
    sequences = "SELECT name, seq FROM sqlite_sequence ORDER BY name"
    assert run(address("sqlite", tmp_path / "three"), sequences) == run(source, sequences)
    copied(address("sqlite", tmp_path / "three"), address("postgres", tmp_path / "four"))
    leases = "SELECT * FROM leases ORDER BY task_id"
    there = run(address("postgres", tmp_path / "four"), leases)
    assert there == run(address("postgres", tmp_path / "two"), leases)
    assert len(there) == 6


@ways
def test_ids_go_on_behind_the_highest_that_ever_was(kind: str, other: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path / "one", kind)
    copies.fill(rig)
    gone = rig.add("/gone")
    rig.do(ops.Delete(task_id=gone))
    last_event = rig.events[-1].id
    rig.close()
    copied(address(kind, tmp_path / "one"), address(other, tmp_path / "two"))
    rig = Rig(tmp_path / "two", other)
    assert rig.add("/new") > gone
    assert rig.events[0].id > last_event
    done = rig.running("/done")
    before = rig.fetch("SELECT max(id) FROM attempts")[0][0]
    rig.do(ops.Complete(task_id=done.task_id, lease=done.lease))
    assert rig.fetch("SELECT max(id) FROM attempts")[0][0] > before
    rig.close()


@pytest.mark.anyio
@ways
async def test_leases_outlive_the_move_and_exclude_as_before(kind: str, other: str, tmp_path: Path) -> None:
    time = Time()
    one = Server(kind, tmp_path / "one", time)
    await one.queue.start()
    task_id = await one.add("/a/b", exclusive=True)
    grant = await one.take("/a/b", lease_ms=10_000)
    assert grant.task_id == task_id
    shared = await one.add("/s")
    await one.take("/s", worker="w2")
    for path in ("/a", "/a/b", "/a/b/c", "/s"):
        await one.add(path, exclusive=True)
    ends_at = (await one.view(task_id)).head.lease_ends_at or 0
    await one.queue.stop()
    copied(address(kind, tmp_path / "one"), address(other, tmp_path / "two"))
    time.pass_(HOUR)
    two = Server(other, tmp_path / "two", time)
    await two.queue.start()
    try:
        await two.reaper.once(two.queue.now())
        assert (await two.view(task_id)).head.lease_ends_at == ends_at + HOUR
        wanted = interest("/a", "/s", recursive=True)
        assert (await two.do(ops.Claim(interest=wanted, worker_id="w3", lease_ms=10_000))).grants == []  # type: ignore[attr-defined]
        assert await two.status(shared) is Status.RUNNING
        await two.do(ops.Complete(task_id=task_id, lease=grant.lease))
        with pytest.raises(LeaseLost):
            await two.do(ops.Heartbeat(task_id=task_id, lease=grant.lease))
        assert (await two.do(ops.Claim(interest=wanted, worker_id="w3", lease_ms=10_000))).grants  # type: ignore[attr-defined]
    finally:
        await two.queue.stop()


def test_text_that_postgresql_cannot_store_is_mended(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "one")
    rig.add(prompt="a\0b")
    rig.add(prompt="the escape, \\u0000")
    grant = rig.take("/a")
    rig.do(ops.AppendLogs(task_id=grant.task_id, lease=grant.lease, lines=copies.lines("\0\0", "none")))
    rig.do(enqueue(new_task(key="k\0", key_hash="h")))
    rig.close()
    compared = copied(address("sqlite", tmp_path / "one"), address("postgres", tmp_path / "two"))
    assert {table.table: table.mended for table in compared if table.mended} == {"task_inputs": 1, "task_keys": 1, "task_logs": 1}
    rig = Rig(tmp_path / "two", "postgres")
    assert rig.fetch("SELECT prompt FROM task_inputs ORDER BY task_id LIMIT 2") == [("a\ufffdb",), ("the escape, \\u0000",)]
    assert rig.fetch("SELECT text FROM task_logs ORDER BY number") == [("\ufffd\ufffd",), ("none",)]
    assert rig.fetch("SELECT key FROM task_keys") == [("k\ufffd",)]
    rig.close()
    compared = copied(address("sqlite", tmp_path / "one"), address("sqlite", tmp_path / "three"))
    assert {table.mended for table in compared} == {0}
    assert dump(address("sqlite", tmp_path / "three")) == dump(address("sqlite", tmp_path / "one"))


def test_a_number_that_postgresql_cannot_store_is_named(tmp_path: Path) -> None:
    source, target = full("sqlite", tmp_path / "one"), address("postgres", tmp_path / "two")
    run(source, "UPDATE task_logs SET line = 3000000000 WHERE number = 3 AND task_id = (SELECT max(task_id) FROM task_logs)")
    with pytest.raises(CopyFailedError, match=r"task_logs, task_id \d+, number 3: line is 3000000000.* at most 2147483647"):
        copied(source, target)
    run(source, "UPDATE task_logs SET line = 3000 WHERE line = 3000000000")
    copied(source, target)


# Going on


class _Stopped(Exception):
    """What a killed process does."""


class _Once:
    """An end that stops after one write."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._writes = 2

    def __getattr__(self, name: str) -> Any:
        return getattr(self._end, name)

    def put(self, *arguments: Any) -> None:
        if not self._writes:
            raise _Stopped
        self._writes -= 1
        self._end.put(*arguments)


@ways
def test_a_copy_that_stops_after_every_batch_is_gone_on_with(kind: str, other: str, tmp_path: Path) -> None:
    source, target = full(kind, tmp_path / "one"), address(other, tmp_path / "two")
    for _ in range(100):
        with opened(source, target) as (one, two), contextlib.suppress(_Stopped):
            copy = Copy(one, _Once(two), batch_rows=20)  # type: ignore[arg-type]
            state = copy.begin()
            there = {table: count for table, count in two.counts().items() if count}
            assert there == state.rows
            copy.rows()
            break
    else:
        pytest.fail("it never ends")
    copied(source, target)
    if kind == other:
        assert dump(target) == dump(source)


@pytest.fixture(params=STORES)
def unfinished(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """The addresses of a source and of a copy of it of some kind, which lacks nothing but the end."""
    source, target = full("sqlite", tmp_path / "one"), address(request.param, tmp_path / "two")
    with opened(source, target) as ends:
        copy = Copy(*ends)
        copy.begin()
        copy.rows()
    return request.param, source, target  # type: ignore[return-value]


def test_what_was_changed_in_the_copy_is_found(unfinished: tuple[str, str, str]) -> None:
    _, source, target = unfinished
    run(target, "UPDATE task_logs SET text = 'forged' WHERE number = 3 AND task_id = (SELECT max(task_id) FROM task_logs)")
    run(target, "DELETE FROM events WHERE id = 5")
    with opened(source, target) as ends:
        copy = Copy(*ends)
        copy.begin()
        copy.rows()
        compared = {table.table: table for table in copy.compare()}
    assert [name for name, table in compared.items() if not table.ok] == ["task_logs", "events"]
    assert compared["task_logs"].rows == compared["task_logs"].rows_there
    assert compared["events"].rows == compared["events"].rows_there + 1


def test_an_unfinished_copy_is_not_served(unfinished: tuple[str, str, str], tmp_path: Path) -> None:
    kind, source, target = unfinished
    words = r"unfinished copy of sqlite:///.*run the same `orchestrator copy` again"
    with pytest.raises(DatabaseInUseError, match=words):
        serve(kind, tmp_path / "two")
    mark = run(target, "SELECT value FROM meta WHERE key = 'copying'")
    with pytest.raises(DatabaseInUseError, match=words):
        refuse_unfinished(mark)
    with pytest.raises(Conflict, match="itself an unfinished copy"):
        copied(target, f"sqlite:///{tmp_path}/three.db")
    copied(source, target)
    serve(kind, tmp_path / "two")


def test_a_copy_of_another_database_is_not_gone_on_with(unfinished: tuple[str, str, str], tmp_path: Path) -> None:
    _, source, target = unfinished
    another = full("sqlite", tmp_path / "other")
    with pytest.raises(Conflict, match=f"holds an unfinished copy of {source}: finish that one"):
        copied(another, target)


def test_a_source_that_was_served_meanwhile_is_copied_anew(unfinished: tuple[str, str, str], tmp_path: Path) -> None:
    _, source, target = unfinished
    rig = Rig(tmp_path / "one")
    rig.time.pass_(1_000)
    rig.tick()
    rig.commit(ops.Tick())
    rig.close()
    with pytest.raises(Conflict, match="has been served since this copy of it was begun"):
        copied(source, target)
