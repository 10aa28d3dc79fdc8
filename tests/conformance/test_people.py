"""What people do to tasks, and what they are told."""

from collections.abc import Iterator

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.source import Stream
from orchestrator.domain.task import Head
from orchestrator.domain.world import World
from tests.rig import Rig, claim, enqueue, interest, new_task
from worker_client.contract.enums import ParkReason, Status
from worker_client.errors import Conflict, LeaseLost, ValidationFailed


def lease_of(rig: Rig) -> tuple[int, str]:
    grant = rig.do(claim()).grants[0]  # type: ignore[attr-defined]
    return grant.task_id, grant.lease


@pytest.mark.parametrize("hold", [ParkReason.BUDGET, ParkReason.QUESTION, ParkReason.APPROVAL])
def test_a_task_that_waits_for_a_person_is_not_executed(rig: Rig, hold: str) -> None:
    rig.add()
    task_id, lease = lease_of(rig)
    rig.do(ops.Park(task_id=task_id, lease=lease, hold=hold))
    with pytest.raises(Conflict, match="parked for a person"):
        rig.do(ops.Execute(task_id=task_id))


def test_attempts_that_have_begun_cannot_be_forbidden(rig: Rig) -> None:
    task_id = rig.add(max_attempts=5)
    _, lease = lease_of(rig)
    rig.do(ops.Fail(task_id=task_id, lease=lease, error="{}"))
    with pytest.raises(ValidationFailed) as refusal:
        rig.do(ops.Update(task_id=task_id, max_attempts=1))
    assert refusal.value.details["field"] == "max_attempts"
    rig.do(ops.Update(task_id=task_id, max_attempts=2))


def test_a_report_repeated_after_a_retry_is_known(rig: Rig) -> None:
    task_id = rig.add()
    _, lease = lease_of(rig)
    report = ops.Complete(task_id=task_id, lease=lease)
    rig.do(report)
    rig.do(ops.Retry(task_id=task_id))
    with pytest.raises(LeaseLost) as refusal:
        rig.do(report)
    assert refusal.value.reason == "already_applied"


def test_a_child_of_a_removed_parent_says_what_to_do(rig: Rig) -> None:
    parent = rig.add()
    child = rig.add(depends_on=(parent,))
    rig.do(ops.Delete(task_id=parent))
    assert rig.head(child).status is Status.CANCELLED
    with pytest.raises(Conflict, match="create this one anew"):
        rig.do(ops.Retry(task_id=child))


def test_a_lease_that_its_timeout_cuts_ends_soon_after_it(rig: Rig) -> None:
    rig.add(timeout_ms=1_000)
    task_id = rig.do(claim(lease_ms=60_000)).grants[0].task_id  # type: ignore[attr-defined]
    assert rig.head(task_id).expire_at == rig.time.at + 1_100


def test_who_asks_for_a_directory_that_somebody_owns_looks_at_none_of_its_tasks(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.add(exclusive=True)
    rig.do(claim())
    rig.do(enqueue(*(new_task() for _ in range(20)), new_task("/a/b"), new_task("/c")))
    looked_at: list[str] = []
    stream = World._stream

    def watched(self: World, at: Stream) -> Iterator[Head]:
        looked_at.append(at[0])
        return stream(self, at)

    monkeypatch.setattr(World, "_stream", watched)
    got = rig.do(claim(interest("/", recursive=True), worker="w2", limit=100))
    assert looked_at == ["/c"]
    assert (len(got.grants), got.held_at is not None) == (1, True)  # type: ignore[attr-defined]
