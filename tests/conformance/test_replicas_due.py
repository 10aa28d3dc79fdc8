"""What is due next, as a server remembers it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import errors

from tests.properties.replicas import Replicas, store_of
from tests.rig import HOUR
from worker_client.contract.enums import Status


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    """One store of a shared database."""
    replicas = Replicas(tmp_path, 1)
    yield replicas
    replicas.close()


def test_what_could_not_be_committed_is_due_still(replicas: Replicas) -> None:
    rig = replicas.rigs[0]
    late = rig.add("/a", delay_ms=1_000)
    grant = rig.running("/b", max_attempts=1)
    connection = store_of(rig)._connected()
    execute = connection.execute
    broken: list[str] = []

    def once(query: Any, *rest: Any, **options: Any) -> Any:
        if query == "COMMIT" and not broken:
            broken.append(query)
            raise errors.SerializationFailure("once")
        return execute(query, *rest, **options)

    connection.execute = once  # type: ignore[method-assign]
    rig.pass_(HOUR // 2)
    assert broken
    for _ in range(3):
        rig.pass_(1_000)
    assert rig.status(late) is Status.WAITING
    assert rig.status(grant.task_id) is Status.FAILED
