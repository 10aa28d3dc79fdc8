"""What is asked in one batch about runs and schedules: each sees what those before it did, and nothing that was only tried."""

import msgspec
import pytest

from orchestrator.domain import flow_operations as flow
from orchestrator.domain import operations as ops
from orchestrator.domain import schedule_operations as cron
from orchestrator.domain.principal import OPEN, SYSTEM
from tests import cron_rig
from tests.flows import Flows, step
from tests.rig import Rig, meddle
from worker_client.contract.enums import Status
from worker_client.contract.schedules import UpdateSchedule
from worker_client.errors import ValidationFailed


@pytest.mark.parametrize("how", ["resume", "retry"])
def test_a_run_that_is_cancelled_right_after_it_was_taken_up_stays_cancelled(rig: Rig, how: str) -> None:
    flows = Flows(rig)
    run_id = flows.run(step("first"), step("aside", task={"work_directory": "/b"}))
    flows.work(lambda *_: RuntimeError("no"))
    (task_id,) = flows.tasks(run_id, "first")
    if how == "resume":
        rig.do(flow.CancelRun(run_id=run_id))
        flows.follow()
    again: ops.Operation = flow.ResumeRun(run_id=run_id) if how == "resume" else ops.Retry(task_id=task_id)
    assert not [one for one in rig.outcomes(again, flow.CancelRun(run_id=run_id)) if isinstance(one, Exception)]
    flows.follow()
    assert flows.status(run_id)[0] == "cancelled"
    assert {head.status for head in rig.heads().values()} == {Status.CANCELLED}


def test_a_run_whose_workflow_is_gone_ends(rig: Rig) -> None:
    flows = Flows(rig)
    run_id = flows.run(step("first"))
    # As when it is deleted by one server while another one takes the run up again.
    rig._runner.run(meddle(rig.store, "DELETE FROM workflows"))
    flows.work()
    assert flows.status(run_id) == ("failed", "its workflow has been deleted")


def test_what_is_rehearsed_is_not_saved_by_what_comes_with_it(rig: Rig) -> None:
    schedule_id = cron_rig.add(rig)
    off = cron.ChangeSchedule(schedule_id=schedule_id, body=UpdateSchedule(enabled=False))
    on = cron.ChangeSchedule(schedule_id=schedule_id, body=msgspec.convert({"description": "as it was"}, UpdateSchedule))
    rig.commit(ops.Rehearse(op=off), on, by=OPEN)
    found = cron_rig.stored(rig, schedule_id)
    assert (found.enabled, found.description, found.version) == (True, "as it was", 2)


def test_a_zone_that_is_no_longer_known_is_said_when_a_period_is_made_up_for(rig: Rig) -> None:
    schedule_id = cron_rig.add(rig)
    rig._runner.run(meddle(rig.store, "UPDATE schedules SET timezone = 'Mars/Base'"))
    wall = rig.time.at
    asked = cron.BackfillSchedule(schedule_id=schedule_id, start=wall - cron_rig.DAY, end=wall)
    assert isinstance(cron_rig.refusal(rig, asked, SYSTEM), ValidationFailed)
