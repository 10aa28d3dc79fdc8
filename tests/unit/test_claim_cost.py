"""Promise 8 for claims: the next task of a directory costs the same however many wait behind it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.store.sqlite.engine import Connection
from tests.rig import Rig, claim, enqueue, interest, new_task

MANY = 3_000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def steps(rig: Rig, *claims: ops.Claim) -> int:
    """What claims make SQLite's machine do, in hundreds of its steps."""
    counted = 0

    def tick() -> int:
        nonlocal counted
        counted += 1
        return 0

    writer = rig.store._writer
    assert isinstance(writer, Connection)
    rig._runner.run(writer.run(lambda database: database.set_progress_handler(tick, 100)))
    rig.commit(*claims)
    rig._runner.run(writer.run(lambda database: database.set_progress_handler(None, 0)))
    return counted


@pytest.mark.parametrize("wanted", [interest("/a"), interest("/", recursive=True)])
def test_those_who_wait_are_not_walked_over(rig: Rig, wanted: ops.Interest) -> None:
    rig.commit(enqueue(new_task("/a"), new_task("/a", kind="script"), new_task("/a", host="build"), new_task("/b")))
    rig.commit(claim(wanted))
    few = steps(rig, claim(wanted))
    for _ in range(3):
        rig.commit(enqueue(*(new_task("/a") for _ in range(MANY // 3))))
    assert steps(rig, claim(wanted)) <= few + 5
