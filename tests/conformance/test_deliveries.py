"""A claim that is delivered more than once: as long as one delivery may have arrived, nobody else gets it."""

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed
from tests.rig import Rig, claim
from worker_client.contract.enums import Status


@pytest.mark.parametrize("lost_first", [1, 2])
def test_a_claim_goes_back_when_none_of_its_deliveries_arrived(rig: Rig, lost_first: int) -> None:
    rig.add()
    first, again = rig.take(poll_id="p"), rig.take(poll_id="p")
    assert (again.lease, again.delivery_no) == (first.lease, 2)
    rig.do(ops.Undeliver(task_id=first.task_id, lease=first.lease, delivery_no=lost_first))
    assert rig.status(first.task_id) is Status.RUNNING
    rig.do(ops.Undeliver(task_id=first.task_id, lease=first.lease, delivery_no=3 - lost_first))
    head = rig.head(first.task_id)
    assert (head.status, head.attempt) == (Status.WAITING, 0)


def test_all_deliveries_of_one_transaction_are_counted(rig: Rig) -> None:
    rig.add()
    outcomes = rig.outcomes(*[claim(poll_id="p")] * 3)
    lost, _, arrived = (outcome.grants[0] for outcome in outcomes if isinstance(outcome, Claimed))
    assert (arrived.lease, arrived.delivery_no) == (lost.lease, 3)
    for number in (1, 2):
        rig.do(ops.Undeliver(task_id=lost.task_id, lease=lost.lease, delivery_no=number))
    assert rig.status(lost.task_id) is Status.RUNNING


def test_a_lost_delivery_of_an_earlier_claim_takes_nothing_away(rig: Rig) -> None:
    grant = rig.running()
    undeliver = ops.Undeliver(task_id=grant.task_id, lease=grant.lease, delivery_no=1)
    rig.do(undeliver)
    newer = rig.take()
    rig.do(undeliver)
    assert newer.lease != grant.lease
    assert rig.status(grant.task_id) is Status.RUNNING
