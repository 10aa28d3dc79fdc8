"""Servers on one database do something at the same instant, a thousand times."""

import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed, Created, Grant
from orchestrator.store.protocol import Commit
from tests.properties.pairs import child_of, done, lost
from tests.properties.replicas import Replicas, batch_of
from tests.rig import claim, enqueue, interest, new_task
from worker_client.contract.enums import Status
from worker_client.errors import OrchestratorError

ROUNDS = 1_000
FEWER = 300
AT_ONCE = 20
"""Rounds that are prepared and looked at together."""
pytestmark = pytest.mark.timeout(170)


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two stores on one database."""
    replicas = Replicas(tmp_path_factory.mktemp("replicas"))
    yield replicas
    replicas.close()


def running(replicas: Replicas, count: int) -> list[Grant]:
    """So many tasks, claimed."""
    rig = replicas.rigs[0]
    rig.commit(enqueue(*(new_task(f"/p/{number}") for number in range(count))))
    grants = rig.claim("/p", recursive=True, limit=count, lease_ms=10**9)
    assert len(grants) == count
    return grants


def created(commit: Commit) -> list[int]:
    """Ids of what a transaction created."""
    return [
        task_id
        for decision in commit.decisions
        if isinstance(decision.outcome, Created)
        for task_id, new in decision.outcome.tasks
        if new
    ]


def either_way(chance: random.Random, *batches: Sequence[ops.Submission]) -> list[Sequence[ops.Submission]]:
    return chance.sample(batches, len(batches))


def test_two_parents_that_complete_at_once_release_their_child(replicas: Replicas) -> None:
    replicas.empty()
    rig = replicas.rigs[0]
    for _ in range(ROUNDS // AT_ONCE):
        parents = running(replicas, 2 * AT_ONCE)
        pairs = list(zip(parents[::2], parents[1::2], strict=True))
        rig.commit(*(enqueue(new_task("/c", depends_on=(one.task_id, other.task_id))) for one, other in pairs))
        for one, other in pairs:
            replicas.together(batch_of(done(one)), batch_of(done(other)))
    children = [head for head in rig.heads().values() if head.path == "/c"]
    assert [head.status for head in children] == [Status.WAITING] * ROUNDS
    replicas.check()


@pytest.mark.parametrize("end", [done, lost])
def test_a_child_created_as_its_parent_ends_is_released_or_cancelled(
    replicas: Replicas, end: Callable[[Grant], ops.Operation]
) -> None:
    replicas.empty()
    rig, chance = replicas.rigs[0], random.Random(1)
    orders = {True: 0, False: 0}
    for _ in range(FEWER // AT_ONCE):
        for grant in running(replicas, AT_ONCE):
            batches = either_way(chance, batch_of(child_of(grant.task_id)), batch_of(end(grant)))
            commits = replicas.together(*batches)
            decisions = [decision for commit in commits for decision in commit.decisions]
            refused = [one.outcome for one in decisions if isinstance(one.outcome, OrchestratorError)]
            assert len(refused) + sum(len(created(commit)) for commit in commits) == 1
            orders[bool(refused)] += 1
    children = [head for head in rig.heads().values() if head.path == "/c"]
    assert {head.status for head in children} == ({Status.WAITING} if end is done else {Status.CANCELLED})
    assert end is done or min(orders.values()) > 0, "they never met"
    replicas.check()


def test_a_key_used_at_once_stands_for_one_task(replicas: Replicas) -> None:
    replicas.empty()
    for number in range(FEWER):
        op = enqueue(new_task("/a", key=f"k{number}", key_hash="h"), new_task("/a", key=f"l{number}", key_hash="h"))
        commits = replicas.together(batch_of(op), batch_of(op))
        outcomes = [decision.outcome for commit in commits for decision in commit.decisions]
        found = {task_id for one in outcomes if isinstance(one, Created) for task_id, _ in one.tasks}
        assert len(found) == 2
        assert sum(len(created(commit)) for commit in commits) == 2
    assert len(replicas.rigs[0].heads()) == 2 * FEWER
    replicas.check()


def test_a_poll_sent_to_two_servers_at_once_gets_one_task(replicas: Replicas) -> None:
    replicas.empty()
    rig = replicas.rigs[0]
    for number in range(FEWER):
        rig.commit(enqueue(new_task("/a"), new_task("/a/b")))
        op = claim(interest("/a", recursive=True), poll_id=f"p{number}")
        commits = replicas.together(batch_of(op), batch_of(op))
        outcomes = [decision.outcome for commit in commits for decision in commit.decisions]
        grants = [grant for one in outcomes if isinstance(one, Claimed) for grant in one.grants]
        assert len({grant.lease for grant in grants}) == 1
        assert sorted(grant.delivery_no for grant in grants) == [1, 2]
        rig.do(ops.Complete(task_id=grants[0].task_id, lease=grants[0].lease))
    replicas.check()


def test_what_ends_and_is_deleted_in_one_transaction_holds_no_directory(replicas: Replicas) -> None:
    replicas.empty()
    rig = replicas.rigs[0]
    grant = rig.running("/a", exclusive=True)
    rig.commit(done(grant), ops.Delete(task_id=grant.task_id))
    replicas.check()
    assert rig.running("/a/b").delivery_no == 1


def test_a_directory_is_set_twice_in_one_transaction(replicas: Replicas) -> None:
    replicas.empty()
    rig = replicas.rigs[0]
    rig.commit(ops.SetDirectory(path="/a", max_running=2), ops.SetDirectory(path="/b"), ops.SetDirectory(path="/a", paused=True))
    assert rig.fetch("SELECT path, max_running, paused FROM directories ORDER BY path") == [("/a", 2, 1), ("/b", None, 0)]
