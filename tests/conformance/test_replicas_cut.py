"""A transaction whose connection breaks, at every message: its true outcome is told; it took place once, and whole."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Changed, Claimed, Created
from orchestrator.domain.rules import Rules
from orchestrator.store.postgres.store import PostgresStore
from tests.chaos.proxy import Proxy
from tests.properties.invariants import lease_of
from tests.properties.pairs import done
from tests.properties.replicas import LONG, Replicas, batch_of
from tests.rig import claim, enqueue, interest, new_task

ENDLESS = 10**6


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    """A store that is connected well, to look with."""
    replicas = Replicas(tmp_path, 1)
    yield replicas
    replicas.close()


@pytest.fixture
def proxy(replicas: Replicas) -> Iterator[Proxy]:
    proxy = Proxy(replicas.looker.info.port)
    yield proxy
    proxy.close()


class Cut:
    """A store whose way to the database breaks."""

    def __init__(self, replicas: Replicas, proxy: Proxy) -> None:
        self.replicas = replicas
        self.proxy = proxy
        self.rig = replicas.rigs[0]
        assert isinstance(self.rig.store, PostgresStore)
        url = conninfo_to_dict(self.rig.store.url)
        self.store = PostgresStore(
            f"postgresql://{url['user']}@127.0.0.1:{proxy.port}/{url['dbname']}",
            clock=replicas.time.clock(),
            nonce=self.rig.store._nonce,
        )
        self.settled: list[bool] = []
        self._ask = self.store._committed
        self.store._committed = self._settle  # type: ignore[method-assign]

    def _settle(self, doubt: Any) -> bool:
        self.settled.append(self._ask(doubt))
        return self.settled[-1]

    def mistaken(self) -> None:
        """From now on the database says of every transaction that it was committed."""
        self.store._sql["transaction_status"] = "SELECT 'committed' WHERE ?1::text <> ''"

    def transaction(self, side: str, after: int, *, fresh: bool) -> int:
        """Cut a transaction after so many messages of one side; how many there were."""
        rig = self.rig
        self.replicas.empty()
        grant = rig.running("/a")
        # The first transaction of a connection prepares its statements, and so has more messages.
        if fresh:
            self.store._close()
        self.store._connected()
        before = [grant.task_id]
        if not fresh:
            (decision,) = self.store._commit(batch_of(enqueue(new_task("/b"))), Rules()).decisions
            assert isinstance(decision.outcome, Created)
            before.append(decision.outcome.tasks[0][0])
        self.proxy.cut(side, after)
        batch = batch_of(done(grant), enqueue(new_task("/a", prompt="next")), claim(interest("/a"), "w2"))
        completed, created, claimed = (one.outcome for one in self.store._commit(batch, Rules()).decisions)
        left = self.proxy.left()
        assert isinstance(completed, Changed), completed
        assert isinstance(created, Created), created
        assert isinstance(claimed, Claimed), claimed
        heads = rig.heads()
        ((task_id, new),) = created.tasks
        (given,) = claimed.grants
        assert new
        assert given.task_id == task_id
        assert given.lease == lease_of(heads[task_id]), "the answer is not what is stored"
        assert sorted(heads) == sorted([*before, task_id])
        assert rig.fetch("SELECT task_id, lease_no, outcome FROM attempts") == [(grant.task_id, 1, "completed")]
        assert len(rig.fetch("SELECT 1 FROM events WHERE task_id = ?", [task_id])) == 2
        self.replicas.check()
        return after if left is None else after - left


@pytest.mark.parametrize("fresh", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_broken_transaction_takes_place_once(replicas: Replicas, proxy: Proxy, side: str, *, fresh: bool) -> None:
    cut = Cut(replicas, proxy)
    cut.transaction(side, ENDLESS, fresh=fresh)
    messages = cut.transaction(side, ENDLESS, fresh=fresh)
    assert messages > 30
    assert not cut.settled
    # The commit is among the last: these all, of the others a few.
    for after in range(messages):
        if LONG or after >= messages - 12 or after % 6 == 0:
            cut.transaction(side, after, fresh=fresh)
    # Without its last messages from the client it was not committed; without those from the server it was.
    assert (side == "server") in cut.settled
    cut.store._close()


@pytest.mark.parametrize("fresh", [True, False], ids=["first", "later"])
def test_a_transaction_whose_number_went_to_another_in_a_crash_takes_place_once(
    replicas: Replicas, proxy: Proxy, *, fresh: bool
) -> None:
    cut = Cut(replicas, proxy)
    cut.mistaken()
    cut.transaction("client", ENDLESS, fresh=fresh)
    messages = cut.transaction("client", ENDLESS, fresh=fresh)
    for after in range(messages - 6, messages):
        cut.transaction("client", after, fresh=fresh)
    assert False in cut.settled
    cut.store._close()


def test_a_heartbeat_whose_number_went_to_another_in_a_crash_takes_place_once(replicas: Replicas, proxy: Proxy) -> None:
    cut = Cut(replicas, proxy)
    cut.mistaken()
    grant = cut.rig.running("/a")
    beat = batch_of(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease))
    cut.store._commit(beat, Rules())
    for side, after in itertools.product(("client", "server"), range(40)):
        version = cut.rig.head(grant.task_id).version
        replicas.time.pass_(1)
        cut.proxy.cut(side, after)
        cut.store._commit(beat, Rules())
        cut.proxy.left()
        assert cut.rig.head(grant.task_id).version == version + 1
    assert set(cut.settled) == {True, False}
    cut.store._close()
