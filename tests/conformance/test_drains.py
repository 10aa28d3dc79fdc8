"""Workers that are told to drain."""

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Beat, Claimed, Drained
from orchestrator.domain.principal import ALL_SCOPES, OPEN, SYSTEM, Principal, path_scope
from tests.reading import read
from tests.rig import HOUR, START, Rig, claim, interest


def tenant(name: str) -> Principal:
    return Principal(name, ALL_SCOPES, path_scope([f"/{name}/**"]))


def drains(rig: Rig, worker: str, path: str, by: Principal = OPEN) -> bool:
    outcome = rig.do(claim(interest(path, by=by), worker), by)
    assert isinstance(outcome, Claimed)
    return outcome.drain


def test_it_gets_nothing_more_and_is_told_so_with_its_heartbeats(rig: Rig) -> None:
    grant = rig.running()
    rig.add()
    other = rig.take(worker="w2")
    commit = rig.commit(ops.DrainWorker(worker_id="w1", reason="update"))
    assert commit.decisions[0].wakes == [Drained("w1", None)]
    assert [(event.type, event.task_id) for event in commit.events] == [
        ("worker.drained", 0), ("task.drain_requested", grant.task_id),
    ]  # fmt: skip
    rig.add()
    assert drains(rig, "w1", "/a")
    told, untold = (rig.do(ops.Heartbeat(task_id=one.task_id, lease=one.lease)) for one in (grant, other))
    assert isinstance(told, Beat)
    assert isinstance(untold, Beat)
    assert (told.drain, untold.drain) == (True, False)
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    assert len(rig.claim(worker="w2")) == 1


def test_what_it_was_given_it_is_given_again(rig: Rig) -> None:
    rig.add()
    first = rig.take(poll_id="p")
    rig.do(ops.DrainWorker(worker_id="w1"))
    assert rig.take(poll_id="p").task_id == first.task_id


def test_it_may_ask_again_when_that_is_undone(rig: Rig) -> None:
    rig.do(ops.DrainWorker(worker_id="w1"))
    rig.do(ops.DrainWorker(worker_id="w1", reason="once more"))
    (known,) = read(rig, rig.store.reads.drains())
    assert known.reason == "once more"
    commit = rig.commit(ops.DrainWorker(worker_id="w1", undo=True))
    assert [event.type for event in commit.events] == ["worker.undrained"]
    assert rig.commit(ops.DrainWorker(worker_id="w1", undo=True)).events == []
    assert not drains(rig, "w1", "/a")


def test_only_workers_are_meant_that_see_no_more_than_who_tells_them(rig: Rig) -> None:
    one, other = tenant("one"), tenant("other")
    rig.do(ops.DrainWorker(worker_id="w1"), one)
    assert drains(rig, "w1", "/one", one)
    assert not drains(rig, "w1", "/other", other)
    assert not drains(rig, "w1", "/one")
    rig.do(ops.DrainWorker(worker_id="w1", undo=True), other)
    assert drains(rig, "w1", "/one", one)
    rig.do(ops.DrainWorker(worker_id="w1", undo=True))
    assert not drains(rig, "w1", "/one", one)
    rig.do(ops.DrainWorker(worker_id="w1"))
    assert drains(rig, "w1", "/other", other)


def test_it_is_forgotten_after_a_day(rig: Rig) -> None:
    rig.do(ops.DrainWorker(worker_id="w1"))
    rig.time.pass_(23 * HOUR)
    rig.do(ops.DrainWorker(worker_id="w2"))
    rig.time.pass_(2 * HOUR)
    rig.do(ops.Prune(before=START, keys_before=START), SYSTEM)
    assert [drain.worker_id for drain in read(rig, rig.store.reads.drains())] == ["w2"]


def test_in_one_batch_with_heartbeats_and_claims(rig: Rig) -> None:
    grant = rig.running()
    rig.add()
    beat, _, claimed = rig.outcomes(
        ops.Heartbeat(task_id=grant.task_id, lease=grant.lease), ops.DrainWorker(worker_id="w1"), claim()
    )
    assert isinstance(beat, Beat)
    assert isinstance(claimed, Claimed)
    assert (beat.drain, claimed.drain, claimed.grants) == (False, True, [])
