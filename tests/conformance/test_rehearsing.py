"""What is rehearsed is refused as it would be, and changes nothing, on every kind of store."""

import pytest

from orchestrator.domain.flow_operations import SaveWorkflow
from orchestrator.domain.operations import Rehearse
from orchestrator.domain.outcomes import Created
from orchestrator.domain.principal import OPEN, Principal, path_scope
from orchestrator.domain.schedule_operations import AddSchedule
from tests.cron_rig import add, body
from tests.rig import Rig, enqueue, new_task
from worker_client.errors import Conflict, Forbidden, ValidationFailed

ELSEWHERE = Principal(id="k1", scopes=OPEN.scopes, paths=path_scope(["/elsewhere"]))
READER = Principal(id="k2", scopes=frozenset({"read"}))
DEFINITION = '{"steps":[{"id":"a","task":{"prompt":"x","work_directory":"/a"}}]}'
TABLES = ("schedules", "fires", "workflows", "workflow_versions", "runs", "events", "tasks")


def rows(rig: Rig) -> dict[str, list[tuple[object, ...]]]:
    return {table: rig.fetch(f"SELECT * FROM {table}") for table in TABLES}  # noqa: S608 - names are ours


def test_a_rehearsal_changes_nothing_and_what_comes_after_it_is_as_without_it(rig: Rig) -> None:
    before = rows(rig)
    rehearsed = [AddSchedule(body=body(), fires=True), SaveWorkflow(name="w", definition=DEFINITION), enqueue(new_task())]
    commit = rig.commit(*(Rehearse(op=op) for op in rehearsed))
    assert [isinstance(decision.outcome, Exception) for decision in commit.decisions] == [False] * 3
    assert (rows(rig), commit.next_fire, commit.events) == (before, None, [])
    _, schedule, task = rig.outcomes(Rehearse(op=rehearsed[0]), rehearsed[0], rehearsed[2])
    assert not isinstance(schedule, Exception)
    assert isinstance(task, Created)


def test_it_is_refused_as_it_would_be(rig: Rig) -> None:
    add(rig, name="taken")
    for op, by, error in (
        (AddSchedule(body=body(name="taken")), OPEN, Conflict),
        (AddSchedule(body=body(cron="0 0 31 2 *")), OPEN, ValidationFailed),
        (AddSchedule(body=body()), ELSEWHERE, Forbidden),
        (AddSchedule(body=body()), READER, Forbidden),
        (SaveWorkflow(name="w", definition=DEFINITION, asks="NONE"), OPEN, ValidationFailed),
    ):
        before = rows(rig)
        with pytest.raises(error):
            rig.do(Rehearse(op=op), by)
        assert rows(rig) == before
