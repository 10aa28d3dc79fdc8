"""Who waits is not walked over: the next task of a directory, and numbers about it, cost the same however many there are."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import EVERYWHERE
from orchestrator.store.reads import SQLITE, Reads
from orchestrator.store.sqlite.engine import Connection, sqlite3
from tests.reading import read
from tests.rig import Rig, claim, enqueue, interest, new_task

MANY = 3_000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    rig.commit(enqueue(new_task("/a"), new_task("/a", kind="script"), new_task("/a", host="build"), new_task("/b")))
    yield rig
    rig.close()


def add_many(rig: Rig) -> None:
    for _ in range(3):
        rig.commit(enqueue(*(new_task("/a") for _ in range(MANY // 3))))


class Steps:
    """Counts what SQLite's machine does, in hundreds of its steps."""

    def __init__(self) -> None:
        self.hundreds = 0

    def __call__(self) -> int:
        self.hundreds += 1
        return 0


def steps_of_claim(rig: Rig, wanted: ops.Interest) -> int:
    steps, writer = Steps(), rig.store._writer
    assert isinstance(writer, Connection)
    rig._runner.run(writer.run(lambda database: database.set_progress_handler(steps, 100)))
    rig.commit(claim(wanted))
    rig._runner.run(writer.run(lambda database: database.set_progress_handler(None, 0)))
    return steps.hundreds


@pytest.mark.parametrize("wanted", [interest("/a"), interest("/", recursive=True)])
def test_by_a_claim(rig: Rig, wanted: ops.Interest) -> None:
    rig.commit(claim(wanted))
    few = steps_of_claim(rig, wanted)
    add_many(rig)
    assert steps_of_claim(rig, wanted) <= few + 5


def test_by_a_claim_for_another_agent(rig: Rig) -> None:
    wanted = interest("/a", agent="claude", kinds=["agent"])
    for _ in range(4):
        rig.commit(claim(wanted))
    rig.do(enqueue(new_task("/a", agent="codex"), new_task("/a", agent="claude")))
    few = steps_of_claim(rig, wanted)
    for _ in range(3):
        rig.commit(enqueue(*(new_task("/a", agent="codex") for _ in range(MANY // 3))))
    rig.do(enqueue(new_task("/a", agent="claude")))
    assert steps_of_claim(rig, wanted) <= few + 5
    assert {head.agent for head in rig.heads().values() if head.status == "running"} == {"", "claude"}


def steps_of_statistics(rig: Rig, directory: Path) -> int:
    steps, database = Steps(), sqlite3.connect(str(directory / "queue.db"))
    database.set_progress_handler(steps, 100)

    async def fetch(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = database.execute(sql, params).fetchall()
        return rows

    read(rig, Reads(fetch, SQLITE).statistics(rig.time.at, EVERYWHERE))
    database.close()
    return steps.hundreds


def test_by_statistics(rig: Rig, tmp_path: Path) -> None:
    few = steps_of_statistics(rig, tmp_path)
    add_many(rig)
    assert steps_of_statistics(rig, tmp_path) <= few + 5
