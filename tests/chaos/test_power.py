"""The power is cut behind everything that is done to the disk: what was acknowledged is there, and nothing by halves."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.task import Lease, Outputs
from orchestrator.store.protocol import UnwritableError
from orchestrator.store.sqlite import engine, migrate
from orchestrator.store.sqlite.engine import sqlite3
from tests.chaos import power
from tests.rig import HOUR, Rig, Time, claim, enqueue, interest, meddle, new_task, template
from worker_client.contract.enums import LogStream

Dump = dict[str, list[tuple[Any, ...]]]
Step = Callable[[Rig], object]
LONG = "It takes more than a page. " * 300


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    return template(tmp_path_factory.mktemp("template"))


class Recorded:
    """A store whose disk is recorded, and what it was at each acknowledgement."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, durable: dict[str, bytes] | None = None) -> None:
        self.folder = folder
        self.disk = power.Disk(folder, durable)
        patch.setattr(engine, "sqlite3", power.Module(self.disk))
        patch.setattr(migrate, "migrate", lambda path: self.disk.settle(path, patch))
        self.time = Time()
        self.rig = Rig(self.folder, time=self.time)
        self.states = [dump(self.rig)]
        self.begun = [0]
        self.known = [len(self.disk.ops)]

    def do(self, step: Step) -> bool:
        """One transaction; whether it was acknowledged."""
        self.begun.append(len(self.disk.ops))
        try:
            step(self.rig)
        except UnwritableError:
            self.begun.pop()
            return False
        self.states.append(dump(self.rig))
        self.known.append(len(self.disk.ops))
        return True

    def close(self) -> None:
        self.rig.close()
        self.disk.close()

    def again(self) -> None:
        """Stop, and start on the same file."""
        self.rig.close()
        self.rig = Rig(self.folder, time=self.time)

    def possible(self, at: int) -> list[Dump]:
        """What may be found after a cut: all that was acknowledged, and that or nothing of what was under way."""
        return [
            state
            for number, state in enumerate(self.states)
            if self.begun[number] <= at and (number + 1 == len(self.known) or at < self.known[number + 1])
        ]


def dump(rig: Rig) -> Dump:
    found = rig.dump()
    found["ids"] = rig.fetch("SELECT name, seq FROM sqlite_sequence ORDER BY name")
    found["epoch"] = rig.fetch("SELECT value FROM meta WHERE key = 'epoch'")
    return found


def life() -> Iterator[Step]:
    """Transactions that touch every table, some of them larger than others."""
    line = ops.LogLine("It goes on.", LogStream.STDOUT, None)
    yield lambda rig: rig.add(prompt=LONG)
    yield lambda rig: all_of(rig, enqueue(*(new_task(f"/many/{n}", key=str(n), key_hash="h") for n in range(30))))
    yield lambda rig: rig.add("/b", depends_on=(1,))
    yield lambda rig: rig.take()
    yield lambda rig: rig.do(ops.Heartbeat(task_id=1, lease=lease(rig, 1), outputs=Outputs(progress="0.5")))
    yield lambda rig: rig.do(ops.AppendLogs(task_id=1, lease=lease(rig, 1), lines=(line,) * 50))
    yield lambda rig: rig.do(ops.Complete(task_id=1, lease=lease(rig, 1), result=f'"{LONG}"'))
    yield lambda rig: all_of(rig, *(claim(interest(f"/many/{n}"), worker=f"w{n}") for n in range(20)))
    yield lambda rig: rig.do(ops.Fail(task_id=2, lease=lease(rig, 2), error="it broke"))
    yield lambda rig: rig.do(ops.Release(task_id=3, lease=lease(rig, 3)))
    yield lambda rig: all_of(rig, *(ops.Complete(task_id=n, lease=lease(rig, n)) for n in range(4, 20)))
    yield lambda rig: all_of(rig, *(ops.Delete(task_id=n) for n in range(22, 30)))
    yield lambda rig: rig.pass_(HOUR)
    yield lambda rig: rig.do(ops.Prune(before=rig.time.at, keys_before=rig.time.at))
    yield lambda rig: all_of(rig, enqueue(new_task("/c", prompt="the last")), claim(interest("/c")))


def all_of(rig: Rig, *batch: ops.Operation) -> None:
    assert not any(isinstance(outcome, Exception) for outcome in rig.outcomes(*batch))


def lease(rig: Rig, task_id: int) -> str:
    head = rig.head(task_id)
    assert head.nonce is not None
    return str(Lease(task_id, head.lease_no, head.nonce))


def lived(folder: Path, patch: pytest.MonkeyPatch, *weaker: str) -> Recorded:
    """A life with checkpoints, one of them while somebody reads, and a stop and a start in it; `weaker`: settings."""
    recorded = Recorded(folder, patch)
    for number, step in enumerate(life()):
        for setting in weaker:
            recorded.rig._runner.run(meddle(recorded.rig.store, setting))
        if number == 6:
            reader = recorded.disk.connect(str(folder / "queue.db"))
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM tasks")
        if number == 9:
            reader.close()
        if number == 12:
            recorded.again()
        assert recorded.do(step)
    recorded.close()
    patch.undo()
    return recorded


def found(folder: Path, files: dict[str, bytes], recorded: Recorded, at: int) -> None:
    """Start on what a cut left behind, look, and go on working."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "queue.db-shm").write_bytes(b"\x5a" * 32_768)
    rig = Rig(folder, time=Time(recorded.time.at))
    try:
        assert rig.fetch("PRAGMA integrity_check") == [("ok",)]
        assert dump(rig) in recorded.possible(at)
        newest = max((row[1] for row in dump(rig)["ids"] if row[0] == "tasks"), default=0)
        assert rig.add("/after") > newest
        all_of(rig, ops.Complete(task_id=newest + 1, lease=rig.take("/after").lease))
    finally:
        rig.close()


def cuts(recorded: Recorded) -> Iterator[tuple[int, power.Left]]:
    """Behind each operation with nothing lost; before each sync in all ways."""
    for at in range(len(recorded.disk.ops) + 1):
        yield at, power.everything
        if at < len(recorded.disk.ops) and recorded.disk.ops[at].kind != "write":
            for left in power.LEFT:
                yield at, left


def distinct(recorded: Recorded) -> Iterator[tuple[int, dict[str, bytes]]]:
    seen = set()
    for at, left in cuts(recorded):
        files = recorded.disk.cut(at, left)
        what = (hash(tuple(sorted(files.items()))), sum(known <= at for known in recorded.known))
        if what not in seen:
            seen.add(what)
            yield at, files


def test_a_power_cut_at_any_moment_loses_nothing(
    empty: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = lived(empty(tmp_path / "life"), monkeypatch)
    assert len(recorded.states) == len(recorded.known) > 15
    number = 0
    for number, (at, files) in enumerate(distinct(recorded)):
        found(tmp_path / str(number), files, recorded, at)
    assert number > 400


@pytest.mark.parametrize("weaker", ["PRAGMA synchronous = NORMAL", "PRAGMA synchronous = OFF"])
def test_with_fewer_syncs_a_power_cut_loses_something(
    empty: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weaker: str
) -> None:
    recorded = lived(empty(tmp_path / "life"), monkeypatch, weaker)
    lost = 0
    for number, at in enumerate(recorded.known):
        try:
            found(tmp_path / str(number), recorded.disk.cut(at, power.nothing), recorded, at)
        except (AssertionError, sqlite3.DatabaseError):
            lost += 1
    assert lost > 5


def cached(folder: Path) -> dict[str, bytes]:
    """What the operating system has of the files: what a killed server leaves behind."""
    return {name: (folder / name).read_bytes() for name in ("queue.db", "queue.db-wal")}


def test_a_failed_sync_loses_nothing_and_brings_nothing_back(
    empty: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failed sync was to write never gets to the disk, though it can be read until the machine starts anew."""
    refusals = 0
    for number in itertools.count(1):
        recorded = Recorded(empty(tmp_path / f"life-{number}"), monkeypatch)
        first = recorded.disk.syncs + number
        recorded.disk.fails = {first}
        left: list[tuple[int, dict[str, bytes]]] = []
        for step in life():
            while not recorded.do(step):
                left.append((len(recorded.disk.ops), cached(recorded.folder)))
        recorded.close()
        monkeypatch.undo()
        if recorded.disk.syncs < first:
            break
        failed = [op.kind for op in recorded.disk.ops].index("lose")
        refusals += len(left)
        left += [(at, recorded.disk.cut(at, power.nothing)) for at in recorded.known if at > failed][:3]
        for at, files in left:
            found(tmp_path / f"left-{number}-{at}", files, recorded, at)
    assert refusals > 10


def test_a_server_that_was_killed_after_a_failed_sync_builds_on_nothing_that_is_lost(
    empty: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = 0
    for number in itertools.count(1):
        recorded = Recorded(empty(tmp_path / f"life-{number}"), monkeypatch)
        first = recorded.disk.syncs + number
        recorded.disk.fails = range(first, 10**6)
        refused = not all(map(recorded.do, life()))
        if recorded.disk.syncs < first:
            recorded.close()
            break
        refusals += refused
        cache, durable = cached(recorded.folder), recorded.disk.cut(len(recorded.disk.ops), power.nothing)
        recorded.close()
        folder = tmp_path / f"again-{number}"
        folder.mkdir()
        for name, data in cache.items():
            (folder / name).write_bytes(data)
        again = Recorded(folder, monkeypatch, durable)
        assert again.do(lambda rig: rig.add("/again"))
        again.close()
        monkeypatch.undo()
        came_back = again.states[0] != recorded.states[-1]
        # Before it has begun all there need be is what was acknowledged before the failure.
        again.states.insert(0, recorded.states[-1])
        again.begun.insert(0, 0)
        again.known.insert(0, 0)
        for at in range(len(again.disk.ops) + 1) if came_back else again.known[1:]:
            found(tmp_path / f"left-{number}-{at}", again.disk.cut(at, power.everything), again, at)
    assert refusals > 10
