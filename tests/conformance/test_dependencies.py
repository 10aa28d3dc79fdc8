"""Tasks that wait for others: freed, orphaned, revived, in one transaction with the cause."""

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import OPEN, PathScope, Pattern, Principal
from tests.rig import HOUR, Rig, enqueue, new_task
from worker_client.contract.enums import Status
from worker_client.errors import Conflict, ValidationFailed

BLOCKED, WAITING, CANCELLED = Status.BLOCKED, Status.WAITING, Status.CANCELLED


def end(rig: Rig, task_id: int, *, well: bool = True) -> None:
    """Claim a task wherever it is, and end it."""
    head = rig.head(task_id)
    (grant,) = [grant for grant in rig.claim(head.path, limit=100, host=head.host) if grant.task_id == task_id]
    if well:
        rig.do(ops.Complete(task_id=task_id, lease=grant.lease))
    else:
        rig.do(ops.Fail(task_id=task_id, lease=grant.lease, error="{}", retryable=False))


def statuses(rig: Rig, *ids: int) -> list[Status]:
    return [rig.status(task_id) for task_id in ids]


def diamond(rig: Rig) -> tuple[int, int, int, int]:
    top = rig.add("/top")
    left, right = rig.add("/left", depends_on=(top,)), rig.add("/right", depends_on=(top,))
    return top, left, right, rig.add("/bottom", depends_on=(left, right))


def test_a_task_waits_for_all_of_its_parents(rig: Rig) -> None:
    first, second = rig.add("/p"), rig.add("/q")
    child = rig.add("/c", depends_on=(first, second))
    end(rig, first)
    assert statuses(rig, child) == [BLOCKED]
    rig.time.pass_(HOUR)
    end(rig, second)
    head = rig.head(child)
    assert (head.status, head.ready_at) == (WAITING, rig.time.at)


def test_parents_that_have_completed_do_not_block(rig: Rig) -> None:
    parent = rig.add("/p")
    end(rig, parent)
    assert statuses(rig, rig.add("/c", depends_on=(parent,))) == [WAITING]


def test_a_parent_that_completes_in_the_same_batch_does_not_block(rig: Rig) -> None:
    grant = rig.running("/p")
    rig.outcomes(enqueue(new_task("/c", depends_on=(grant.task_id,))), ops.Complete(task_id=grant.task_id, lease=grant.lease))
    assert statuses(rig, grant.task_id + 1) == [WAITING]


def test_a_diamond_waits_and_is_freed_once(rig: Rig) -> None:
    top, left, right, bottom = diamond(rig)
    end(rig, top)
    assert statuses(rig, left, right, bottom) == [WAITING, WAITING, BLOCKED]
    end(rig, left)
    end(rig, right)
    assert statuses(rig, bottom) == [WAITING]
    assert len(rig.fetch("SELECT * FROM events WHERE type = 'task.unblocked' AND task_id = ?", [bottom])) == 1


def test_both_sides_of_a_diamond_completed_in_one_batch(rig: Rig) -> None:
    top, left, right, bottom = diamond(rig)
    end(rig, top)
    (one,), (two,) = rig.claim("/left"), rig.claim("/right")
    rig.outcomes(ops.Complete(task_id=left, lease=one.lease), ops.Complete(task_id=right, lease=two.lease))
    assert statuses(rig, bottom) == [WAITING]


@pytest.mark.parametrize("how", ["fail", "cancel", "delete", "reject"])
def test_what_depends_on_a_lost_task_is_cancelled_all_the_way_down(rig: Rig, how: str) -> None:
    top = rig.add("/top", requires_approval=how == "reject")
    middle = rig.add("/m", depends_on=(top,))
    bottom = rig.add("/b", depends_on=(middle,))
    if how == "fail":
        end(rig, top, well=False)
    else:
        rig.do({"cancel": ops.Cancel, "delete": ops.Delete, "reject": ops.Reject}[how](task_id=top))
    assert statuses(rig, middle, bottom) == [CANCELLED, CANCELLED]
    assert {rig.head(middle).reason, rig.head(bottom).reason} == {"dependency_failed"}


def test_the_last_expiry_orphans_too(rig: Rig) -> None:
    grant = rig.running("/p", max_attempts=1)
    child = rig.add("/c", depends_on=(grant.task_id,))
    rig.pass_(11_000)
    assert statuses(rig, grant.task_id, child) == [Status.FAILED, CANCELLED]


@pytest.mark.parametrize("end_it", ["release", "park", "undeliver", "fail"])
def test_a_cancel_request_that_ends_the_task_orphans_too(rig: Rig, end_it: str) -> None:
    grant = rig.running("/p")
    child = rig.add("/c", depends_on=(grant.task_id,))
    rig.do(ops.Cancel(task_id=grant.task_id))
    assert statuses(rig, child) == [BLOCKED]
    rig.do({
        "release": ops.Release(task_id=grant.task_id, lease=grant.lease),
        "park": ops.Park(task_id=grant.task_id, lease=grant.lease, hold="quota"),
        "undeliver": ops.Undeliver(task_id=grant.task_id, lease=grant.lease, delivery_no=1),
        "fail": ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}"),
    }[end_it])  # fmt: skip
    assert statuses(rig, grant.task_id, child) == [CANCELLED, CANCELLED]


def test_a_failure_that_is_tried_again_orphans_nobody(rig: Rig) -> None:
    grant = rig.running("/p")
    child = rig.add("/c", depends_on=(grant.task_id,))
    rig.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}"))
    assert statuses(rig, child) == [BLOCKED]


def test_a_retried_parent_revives_the_diamond_below_it(rig: Rig) -> None:
    top, left, right, bottom = diamond(rig)
    end(rig, top, well=False)
    assert statuses(rig, left, right, bottom) == [CANCELLED] * 3
    rig.do(ops.Retry(task_id=top))
    assert statuses(rig, top, left, right, bottom) == [WAITING, BLOCKED, BLOCKED, BLOCKED]
    for task_id in (top, left, right, bottom):
        end(rig, task_id)
    assert statuses(rig, top, left, right, bottom) == [Status.COMPLETED] * 4


@pytest.mark.parametrize("turned", [False, True])
def test_a_lopsided_diamond_is_revived_as_well(rig: Rig, turned: bool) -> None:
    top = rig.add("/top")
    short = rig.add("/short", depends_on=(top,))
    long = rig.add("/long1", depends_on=(top,))
    longer = rig.add("/long2", depends_on=(long, short))
    bottom = rig.add("/bottom", depends_on=(longer, short) if turned else (short, longer))
    rig.do(ops.Cancel(task_id=top))
    assert statuses(rig, short, long, longer, bottom) == [CANCELLED] * 4
    rig.do(ops.Retry(task_id=top))
    assert statuses(rig, short, long, longer, bottom) == [BLOCKED] * 4


def test_nobody_is_revived_against_another_lost_parent_or_a_person(rig: Rig) -> None:
    one, other = rig.add("/p"), rig.add("/q")
    child, unwanted = rig.add("/c", depends_on=(one, other)), rig.add("/d", depends_on=(one,))
    rig.do(ops.Cancel(task_id=unwanted))
    rig.do(ops.Cancel(task_id=one))
    rig.do(ops.Cancel(task_id=other))
    rig.do(ops.Retry(task_id=one))
    assert statuses(rig, child, unwanted) == [CANCELLED, CANCELLED]
    with pytest.raises(Conflict, match=f"task {other}"):
        rig.do(ops.Retry(task_id=child))
    rig.do(ops.Retry(task_id=other))
    assert statuses(rig, child, unwanted) == [BLOCKED, CANCELLED]
    rig.do(ops.Retry(task_id=unwanted))
    assert statuses(rig, unwanted) == [BLOCKED]


def test_a_satisfied_edge_stays_satisfied(rig: Rig) -> None:
    first, second = rig.add("/p"), rig.add("/q")
    child = rig.add("/c", depends_on=(first, second))
    end(rig, first)
    rig.do(ops.Retry(task_id=first))
    end(rig, first, well=False)
    assert statuses(rig, child) == [BLOCKED]
    rig.do(ops.Delete(task_id=first))
    end(rig, second)
    assert statuses(rig, child) == [WAITING]


def test_a_child_whose_parent_is_gone_never_comes_back(rig: Rig) -> None:
    parent = rig.add("/p")
    child = rig.add("/c", depends_on=(parent,))
    rig.do(ops.Delete(task_id=parent))
    with pytest.raises(Conflict, match=f"task {parent}"):
        rig.do(ops.Retry(task_id=child))


def test_a_child_that_was_cancelled_keeps_hearing_of_its_parent(rig: Rig) -> None:
    parent = rig.add("/p")
    child = rig.add("/c", depends_on=(parent,))
    rig.do(ops.Cancel(task_id=child))
    end(rig, parent)
    rig.do(ops.Retry(task_id=child))
    assert statuses(rig, child) == [WAITING]


def test_a_missing_lost_or_unseen_parent_is_refused(rig: Rig) -> None:
    lost = rig.add("/p")
    rig.do(ops.Cancel(task_id=lost))
    hidden = rig.add("/q")
    before = rig.dump()
    with pytest.raises(ValidationFailed, match="99"):
        rig.add("/c", depends_on=(99,))
    with pytest.raises(Conflict, match="retry it first"):
        rig.add("/c", depends_on=(lost,))
    with pytest.raises(ValidationFailed, match="does not exist"):
        rig.add("/c", Principal("k", OPEN.scopes, PathScope((Pattern("/c", below=True),))), depends_on=(hidden,))
    assert rig.dump() == before


def test_approval_and_time_come_after_the_parents(rig: Rig) -> None:
    parent = rig.add("/p")
    approval = rig.add("/c", depends_on=(parent,), requires_approval=True)
    later = rig.add("/d", depends_on=(parent,), delay_ms=HOUR)
    early = rig.add("/e", depends_on=(parent,), requires_approval=True)
    rig.do(ops.Approve(task_id=early))
    end(rig, parent)
    assert statuses(rig, approval, later, early) == [Status.PARKED, Status.SCHEDULED, WAITING]


def test_an_orphan_that_was_never_approved_still_needs_it(rig: Rig) -> None:
    parent = rig.add("/p")
    child = rig.add("/c", depends_on=(parent,), requires_approval=True)
    rig.do(ops.Cancel(task_id=parent))
    rig.do(ops.Retry(task_id=parent))
    end(rig, parent)
    assert statuses(rig, child) == [Status.PARKED]


def test_a_long_chain_falls_and_rises_in_one_transaction(rig: Rig) -> None:
    chain = [rig.add("/0")]
    for at in range(1, 200):
        chain.append(rig.add(f"/{at}", depends_on=(chain[-1],)))
    rig.do(ops.Cancel(task_id=chain[0]))
    assert set(statuses(rig, *chain)) == {CANCELLED}
    rig.do(ops.Retry(task_id=chain[0]))
    assert set(statuses(rig, *chain[1:])) == {BLOCKED}


def test_many_children_of_one_parent_are_freed_together(rig: Rig) -> None:
    parent = rig.add("/p")
    rig.do(enqueue(*(new_task("/c", depends_on=(parent,)) for _ in range(500))))
    end(rig, parent)
    assert rig.fetch("SELECT count(*) FROM tasks WHERE status = 'waiting'") == [(500,)]
