"""Somebody, not a server of ours, keeps a row of the queue locked: the others' work goes on without it."""

from collections.abc import Iterator

import psycopg
import pytest

from orchestrator.domain import operations as ops
from orchestrator.store.postgres import store
from orchestrator.store.postgres.store import PostgresStore
from orchestrator.store.protocol import BusyError
from tests.properties.replicas import Replicas

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two stores on one database."""
    replicas = Replicas(tmp_path_factory.mktemp("held"))
    yield replicas
    replicas.close()


def test_a_task_whose_row_is_held_is_passed_over(replicas: Replicas) -> None:
    rig = replicas.rigs[0]
    assert isinstance(rig.store, PostgresStore)
    held, free = rig.add("/a"), rig.add("/a")
    with psycopg.connect(rig.store.url) as other:
        other.execute("SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", (held,))
        assert [grant.task_id for grant in rig.claim("/a")] == [free]
        other.rollback()
    assert [grant.task_id for grant in rig.claim("/a")] == [held]


def test_who_wants_that_very_row_is_told_that_others_have_it(replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = replicas.rigs[0]
    assert isinstance(rig.store, PostgresStore)
    monkeypatch.setattr(store, "WAIT_S", 0.2)
    task_id = rig.add("/a")
    with psycopg.connect(rig.store.url) as other:
        other.execute("SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", (task_id,))
        with pytest.raises(BusyError):
            rig.do(ops.Cancel(task_id=task_id))
    rig.do(ops.Cancel(task_id=task_id))
