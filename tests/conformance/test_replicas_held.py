"""Somebody, not a server of ours, keeps a row of the queue locked: the others' work goes on without it."""

from collections.abc import Iterator

import psycopg
import pytest

from orchestrator.store.postgres.store import PostgresStore
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
