"""A server that stands still, or is cut off, in the middle of a transaction: the others go on, and it goes on afterwards."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.store.postgres import engine
from orchestrator.store.postgres.store import PostgresStore
from tests.properties.pairs import done
from tests.properties.replicas import Pause, Replicas, batch_of, told
from tests.rig import claim, interest

WITHIN_S = 5


@pytest.fixture
def replicas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replicas]:
    """Two stores that wait for each other a tenth as long as they would."""
    monkeypatch.setitem(engine.SETTINGS, "idle_in_transaction_session_timeout", "150ms")
    monkeypatch.setattr(engine, "TRANSACTION_S", 0.3)
    replicas = Replicas(tmp_path)
    yield replicas
    replicas.close()


@pytest.mark.parametrize("answered", [True, False], ids=["idle", "between statements"])
def test_who_stands_still_in_a_transaction_holds_up_nobody(replicas: Replicas, *, answered: bool) -> None:
    for at in range(1 + answered, 100, 2):
        replicas.empty()
        rig = replicas.rigs[0]
        first, second = rig.running("/a"), rig.running("/b")
        rig.add("/a")
        rig.add("/b")
        pause = Pause(rig, at, answered=answered)
        still = replicas.start(0, batch_of(done(first), ops.SetDirectory(path="/c", paused=True), claim(interest("/a"))))
        still.add_done_callback(pause.over)
        assert pause.reached.wait(30)
        if still.done():
            break
        began = time.monotonic()
        commit = replicas.start(1, batch_of(done(second), claim(interest("/a", "/b"), "w2"))).result(30)
        assert time.monotonic() - began < WITHIN_S
        assert [told(decision)[0] for decision in commit.decisions] == ["changed", "claimed"]
        pause.go_on.set()
        late = [told(decision) for decision in still.result(30).decisions]
        pause.remove()
        assert late[0] == ("changed", "completed", 3)
        replicas.check()
        assert len(rig.fetch("SELECT 1 FROM attempts")) == 2
        assert rig.status(first.task_id) == rig.status(second.task_id) == "completed"
    assert at > 15


def test_a_machine_that_is_gone_is_noticed(replicas: Replicas) -> None:
    store = replicas.rigs[0].store
    assert isinstance(store, PostgresStore)
    with socket.socket(fileno=socket.dup(store._connected().fileno())) as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == engine.PATIENCE_S * 1000
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == engine.PATIENCE_S
