"""How other queues lose hold of who may do what; each test is named after the failure.

Elsewhere: agents (a quota that is marked as done, worktrees with work in them) and cron, which are no part of the engine.
"""

from collections.abc import Callable

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed
from orchestrator.domain.principal import OPEN, Principal
from tests.rig import HOUR, MINUTE, Rig
from worker_client.contract.enums import Status
from worker_client.errors import LeaseLost

SOMEBODY_ELSE = Principal(id="else", scopes=OPEN.scopes)


def refused(rig: Rig, op: ops.Operation, by: Principal = OPEN) -> None:
    """As one that holds no lease, and without any effect."""
    before = rig.dump()
    with pytest.raises(LeaseLost):
        rig.do(op, by)
    assert rig.dump() == before


def test_a_stale_workers_completion_is_refused(rig: Rig) -> None:
    """No fencing: River, Oban, pg-boss, Graphile, Faktory, Procrastinate, goqite."""
    stale = rig.running()
    rig.pass_(11_000)
    refused(rig, ops.Complete(task_id=stale.task_id, lease=stale.lease))
    rig.pass_(HOUR)
    second = rig.take(worker="w2")
    assert second.task_id == stale.task_id
    refused(rig, ops.Complete(task_id=stale.task_id, lease=stale.lease))
    rig.do(ops.Complete(task_id=second.task_id, lease=second.lease))
    refused(rig, ops.Complete(task_id=stale.task_id, lease=stale.lease))


def test_the_old_completion_of_the_same_worker_is_refused_after_a_retry(rig: Rig) -> None:
    """A fence that is the worker's name, or an attempt number that a retry resets: Honker, Awa's ADR-013."""
    old = rig.running()
    rig.do(ops.Fail(task_id=old.task_id, lease=old.lease, error="{}", retryable=False))
    rig.do(ops.Retry(task_id=old.task_id))
    new = rig.take()
    assert (new.task_id, rig.head(new.task_id).attempt) == (old.task_id, 1)
    refused(rig, ops.Complete(task_id=old.task_id, lease=old.lease))
    rig.do(ops.Complete(task_id=new.task_id, lease=new.lease))


@pytest.mark.parametrize("by", ["limit", "exclusive"])
def test_a_lease_blip_does_not_free_the_lock_twice(rig: Rig, by: str) -> None:
    """Eleven runs of a limit-1 job, as the late finisher frees the lock a second time: solid_queue#761, #735, #546."""
    if by == "limit":
        rig.do(ops.SetDirectory(path="/a", max_running=1))
    for _ in range(12):
        rig.add("/a", exclusive=by == "exclusive", max_attempts=1)
    late = rig.take(worker="w1")
    rig.pass_(11_000)
    rig.take(worker="w2", lease_ms=HOUR)
    for _ in range(3):
        refused(rig, ops.Complete(task_id=late.task_id, lease=late.lease))
        refused(rig, ops.Release(task_id=late.task_id, lease=late.lease))
        rig.tick()
        assert not rig.claim(worker="w3", limit=11)
    assert [head.status for head in rig.heads().values()].count(Status.RUNNING) == 1


End = Callable[[int, str], list[ops.Operation]]
ENDS: dict[str, End] = {
    "complete": lambda task_id, lease: [ops.Complete(task_id=task_id, lease=lease)],
    "complete twice": lambda task_id, lease: [ops.Complete(task_id=task_id, lease=lease)] * 2,
    "fail": lambda task_id, lease: [ops.Fail(task_id=task_id, lease=lease, error="{}", retryable=False)],
    "release": lambda task_id, lease: [ops.Release(task_id=task_id, lease=lease), ops.Cancel(task_id=task_id)],
    "park": lambda task_id, lease: [ops.Park(task_id=task_id, lease=lease, hold="quota"), ops.Delete(task_id=task_id)],
    "cancel and fail": lambda task_id, lease: [
        ops.Fail(task_id=task_id, lease=lease, error="{}"),
        ops.Cancel(task_id=task_id),
        ops.Delete(task_id=task_id),
    ],
    "die": lambda _task_id, _lease: [],
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("together", [False, True], ids=["one-by-one", "in-one-batch"])
def test_limits_cannot_drift(rig: Rig, end: End, together: bool) -> None:
    """Counters beside the leases: "limit 1, current 0" for ever, conductor#1446."""
    rig.do(ops.SetDirectory(path="/a", max_running=1))
    for _ in range(6):
        rig.add("/a/b", max_attempts=1)
    for _ in range(3):
        grant = rig.take("/a/b")
        assert not rig.claim("/a/b", worker="w2")
        reports = end(grant.task_id, grant.lease)
        for batch in [reports] if together else [[one] for one in reports]:
            rig.outcomes(*batch)
        rig.pass_(11_000)
    grant = rig.take("/a/b")
    assert not rig.claim("/a/b", worker="w2")


@pytest.mark.parametrize("why", ["limit", "exclusive", "paused"])
def test_one_saturated_key_does_not_stall_the_others(rig: Rig, why: str) -> None:
    """One that may not go on, at the head of the queue: pg-boss PR 756."""
    for _ in range(300):
        rig.add("/busy", priority=3, exclusive=why == "exclusive")
    if why != "exclusive":
        rig.do(ops.SetDirectory(path="/busy", **({"max_running": 1} if why == "limit" else {"paused": True})))
    if why != "paused":
        rig.take("/busy")
    free = rig.add("/free", priority=0)
    assert rig.take("/", recursive=True, worker="w2").task_id == free


def test_a_heartbeat_of_whoever_does_not_own_the_lease_is_refused(rig: Rig) -> None:
    """Heartbeats that never check: cqlite#3182, hermes#21147."""
    mine, other = rig.running("/a"), rig.running("/b")
    task_id, lease_no, _ = mine.lease.split(".")
    refused(rig, ops.Heartbeat(task_id=mine.task_id, lease=mine.lease), SOMEBODY_ELSE)
    refused(rig, ops.Heartbeat(task_id=mine.task_id, lease=other.lease))
    refused(rig, ops.Heartbeat(task_id=mine.task_id, lease=f"{task_id}.{lease_no}.0123456789abcdef"))
    rig.pass_(11_000)
    refused(rig, ops.Heartbeat(task_id=mine.task_id, lease=mine.lease))


def test_a_new_claim_does_not_inherit_the_heartbeat_of_the_old_one(rig: Rig) -> None:
    """It looks alive, or confirmed, by what was before: hermes#119155."""
    old = rig.running(lease_ms=HOUR)
    rig.do(ops.Heartbeat(task_id=old.task_id, lease=old.lease))
    rig.do(ops.Release(task_id=old.task_id, lease=old.lease))
    new = rig.take(worker="w2", lease_ms=HOUR, confirm_ms=5_000)
    assert new.task_id == old.task_id
    rig.pass_(6_000)
    assert rig.status(old.task_id) is Status.WAITING
    brief = rig.take(worker="w3", lease_ms=10_000)
    rig.pass_(11_000)
    refused(rig, ops.Complete(task_id=brief.task_id, lease=brief.lease))


def test_a_worker_with_a_reused_name_does_not_look_alive(rig: Rig) -> None:
    """Rescue after an hour, or by host name: River#1258, procrastinate#1518, oban-py#32."""
    dead = rig.running("/a", lease_ms=10_000)
    # Its successor has the same name, and is well.
    own = rig.running("/b", lease_ms=10_000)
    for _ in range(4):
        rig.do(ops.Heartbeat(task_id=own.task_id, lease=own.lease))
        rig.claim("/c")
        rig.pass_(3_000)
    assert rig.status(dead.task_id) is Status.SCHEDULED
    assert rig.status(own.task_id) is Status.RUNNING


def test_interruption_drain_and_a_providers_limit_are_no_failed_attempts(rig: Rig) -> None:
    """Counted as failures, they use a task up: hermes#38223, pg-boss PR 759."""
    task_id = rig.add(max_attempts=1)
    given_back = (
        lambda grant: ops.Release(task_id=task_id, lease=grant.lease, reason="drain"),
        lambda grant: ops.Park(task_id=task_id, lease=grant.lease, hold="quota", not_before=rig.time.at + MINUTE),
        lambda grant: ops.Undeliver(task_id=task_id, lease=grant.lease, delivery_no=grant.delivery_no),
        lambda grant: ops.Release(task_id=task_id, lease=grant.lease, reason="interrupted"),
    )
    for back in given_back:
        rig.do(back(rig.take()))
        rig.pass_(HOUR)
        assert rig.status(task_id) is Status.WAITING
    grant = rig.take()
    assert rig.head(task_id).attempt == 1
    rig.do(ops.Complete(task_id=task_id, lease=grant.lease))


@pytest.mark.parametrize(("held", "wanted"), [("/repo", "/repo/sub"), ("/repo/sub", "/repo"), ("/repo", "/repo/a/b/c")])
@pytest.mark.parametrize("together", [False, True], ids=["one-by-one", "in-one-batch"])
def test_nested_directories_are_not_worked_on_at_once(rig: Rig, held: str, wanted: str, together: bool) -> None:
    """Nobody handles it."""
    rig.add(held, exclusive=True)
    rig.add(wanted, exclusive=True)
    asked = [ops.Claim(interest=_all(path), worker_id=path, lease_ms=10_000) for path in (held, wanted)]
    outcomes = rig.outcomes(*asked) if together else [rig.do(one) for one in asked]
    assert [len(one.grants) for one in outcomes if isinstance(one, Claimed)] == [1, 0]
    (first,) = (one.grants[0] for one in outcomes if isinstance(one, Claimed) and one.grants)
    rig.do(ops.Complete(task_id=first.task_id, lease=first.lease))
    assert rig.take(wanted).task_id == 2


def _all(path: str) -> ops.Interest:
    return ops.Interest(paths=(path,), recursive=False, kinds=(), tags=frozenset(), host="", exclusive=False, principal=OPEN)


def test_ageing_works_in_a_soak(rig: Rig) -> None:
    """It was promised, and never happened: Awa. Two urgent tasks an hour for as many workers, and one low one meanwhile."""
    low = rig.add(priority=0)
    began, served = rig.time.at, None
    for _ in range(4):
        rig.add(priority=3)
    for _ in range(30 * 2):
        rig.add(priority=3)
        grant = rig.take(lease_ms=HOUR)
        rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
        if grant.task_id == low:
            served = rig.time.at
        rig.pass_(30 * MINUTE)
    # It is overtaken by those alone that became ready within the difference of the head starts: 24 hours, and its own of -1.
    backlog = 4 * 30 * MINUTE
    assert served is not None
    assert 25 * HOUR <= served - began <= 25 * HOUR + backlog + HOUR
