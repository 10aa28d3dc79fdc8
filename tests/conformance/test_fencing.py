"""Promise 3: a stale worker can change nothing, and is told why."""

from collections.abc import Callable

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Beat, Changed, Done
from orchestrator.domain.principal import OPEN, PathScope, Pattern, Principal
from tests.rig import HOUR, Rig
from worker_client.contract.enums import Directive, LogStream, Status
from worker_client.errors import Conflict, LeaseLost, NotFound, ValidationFailed

OTHER = Principal(id="other", scopes=OPEN.scopes)
LINE = (ops.LogLine("x", LogStream.STDOUT, None),)
Report = Callable[[int, str], ops.Operation]


def heartbeat(task_id: int, lease: str) -> ops.Operation:
    return ops.Heartbeat(task_id=task_id, lease=lease)


def log(task_id: int, lease: str) -> ops.Operation:
    return ops.AppendLogs(task_id=task_id, lease=lease, lines=LINE)


def complete(task_id: int, lease: str) -> ops.Operation:
    return ops.Complete(task_id=task_id, lease=lease)


def fail(task_id: int, lease: str) -> ops.Operation:
    return ops.Fail(task_id=task_id, lease=lease, error="{}")


def release(task_id: int, lease: str) -> ops.Operation:
    return ops.Release(task_id=task_id, lease=lease)


def park(task_id: int, lease: str) -> ops.Operation:
    return ops.Park(task_id=task_id, lease=lease, hold="quota")


USES: list[Report] = [heartbeat, log]
ENDS: list[Report] = [complete, fail, release, park]
REPORTS = USES + ENDS


def refused(rig: Rig, op: ops.Operation, reason: str, by: Principal = OPEN) -> None:
    """The report is refused for this reason, and changed nothing at all."""
    before = rig.dump()
    with pytest.raises(LeaseLost) as refusal:
        rig.do(op, by)
    assert refusal.value.reason == reason
    assert rig.dump() == before


@pytest.mark.parametrize("report", REPORTS)
def test_the_lease_of_an_earlier_claim_changes_nothing(rig: Rig, report: Report) -> None:
    first = rig.running()
    rig.do(ops.Release(task_id=first.task_id, lease=first.lease))
    second = rig.take(worker="w1")
    assert second.task_id == first.task_id
    refused(rig, report(first.task_id, first.lease), "reclaimed")
    rig.do(ops.Complete(task_id=second.task_id, lease=second.lease))
    refused(rig, report(first.task_id, first.lease), "reclaimed")


@pytest.mark.parametrize("report", REPORTS)
def test_a_lease_with_a_wrong_secret_or_of_another_task_changes_nothing(rig: Rig, report: Report) -> None:
    mine, theirs = rig.running("/a"), rig.running("/b")
    task_id, lease_no, _ = mine.lease.split(".")
    refused(rig, report(mine.task_id, f"{task_id}.{lease_no}.ffffffffffffffff"), "reclaimed")
    refused(rig, report(mine.task_id, theirs.lease), "reclaimed")
    refused(rig, report(mine.task_id, f"{task_id}.99.0000000000000001"), "reclaimed")


@pytest.mark.parametrize("report", REPORTS)
def test_the_lease_of_another_credential_changes_nothing(rig: Rig, report: Report) -> None:
    grant = rig.running()
    refused(rig, report(grant.task_id, grant.lease), "reclaimed", by=OTHER)


@pytest.mark.parametrize("report", REPORTS)
def test_who_does_not_see_the_directory_does_not_see_the_task(rig: Rig, report: Report) -> None:
    grant = rig.running("/a")
    elsewhere = Principal(id="", scopes=OPEN.scopes, paths=PathScope((Pattern("/b", below=True),)))
    before = rig.dump()
    with pytest.raises(NotFound):
        rig.do(report(grant.task_id, grant.lease), elsewhere)
    assert rig.dump() == before


@pytest.mark.parametrize("report", REPORTS)
def test_after_the_retry_numbers_go_on(rig: Rig, report: Report) -> None:
    grant = rig.running()
    rig.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}", retryable=False))
    rig.do(ops.Retry(task_id=grant.task_id))
    assert (rig.head(grant.task_id).lease_no, rig.head(grant.task_id).attempt) == (1, 0)
    again = rig.take(worker="w1")
    assert (rig.head(grant.task_id).lease_no, rig.head(grant.task_id).attempt) == (2, 1)
    refused(rig, report(grant.task_id, grant.lease), "reclaimed")
    assert again.lease != grant.lease


@pytest.mark.parametrize("end", ENDS)
def test_the_report_that_ended_a_lease_sent_again_is_already_applied(rig: Rig, end: Report) -> None:
    grant = rig.running()
    rig.do(end(grant.task_id, grant.lease))
    refused(rig, end(grant.task_id, grant.lease), "already_applied")


@pytest.mark.parametrize("end", ENDS)
def test_twice_in_one_batch_is_applied_once(rig: Rig, end: Report) -> None:
    grant = rig.running()
    first, second = rig.outcomes(end(grant.task_id, grant.lease), end(grant.task_id, grant.lease))
    assert isinstance(first, Changed)
    assert isinstance(second, LeaseLost)
    assert second.reason == "already_applied"
    assert len(rig.fetch("SELECT * FROM attempts")) == 1


def test_another_report_after_the_end_is_told_how_it_ended(rig: Rig) -> None:
    for end, reason in ((complete, "released"), (fail, "released"), (release, "released"), (park, "released")):
        grant = rig.running("/a/b")
        rig.do(end(grant.task_id, grant.lease))
        refused(rig, heartbeat(grant.task_id, grant.lease), reason)
        rig.do(ops.Delete(task_id=grant.task_id))


def test_an_expired_lease_is_told_so(rig: Rig) -> None:
    grant = rig.running(max_attempts=1)
    rig.pass_(11_000)
    assert rig.status(grant.task_id) is Status.FAILED
    for report in REPORTS:
        refused(rig, report(grant.task_id, grant.lease), "expired")


def test_the_lease_of_a_cancelled_task_is_told_so(rig: Rig) -> None:
    grant = rig.running()
    rig.do(ops.Cancel(task_id=grant.task_id, reason="no"))
    rig.do(ops.Release(task_id=grant.task_id, lease=grant.lease))
    assert rig.status(grant.task_id) is Status.CANCELLED
    for report in (heartbeat, complete, fail):
        refused(rig, report(grant.task_id, grant.lease), "cancelled")
    refused(rig, release(grant.task_id, grant.lease), "already_applied")


@pytest.mark.parametrize("text", ["", "1", "nonsense", "1.1", "1.1.", "9" * 81])
def test_what_is_no_lease_is_a_mistake_of_the_caller(rig: Rig, text: str) -> None:
    grant = rig.running()
    with pytest.raises(ValidationFailed):
        rig.do(ops.Heartbeat(task_id=grant.task_id, lease=text))


def test_a_deleted_task_is_not_found(rig: Rig) -> None:
    grant = rig.running()
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    rig.do(ops.Delete(task_id=grant.task_id))
    with pytest.raises(NotFound):
        rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))


# Completion by prompt, as the third seed document prints it


def test_the_prompt_stands_in_for_the_first_lease(rig: Rig) -> None:
    grant = rig.running(prompt="do this")
    with pytest.raises(Conflict, match="send `lease`"):
        rig.do(ops.Complete(task_id=grant.task_id, original_prompt="do that"))
    with pytest.raises(Conflict, match="send `lease`"):
        rig.do(ops.Complete(task_id=grant.task_id, original_prompt="do this"), OTHER)
    rig.do(ops.Complete(task_id=grant.task_id, original_prompt="do this", result="1"))
    assert rig.status(grant.task_id) is Status.COMPLETED
    refused(rig, ops.Complete(task_id=grant.task_id, original_prompt="do this"), "already_applied")


def test_the_prompt_does_not_stand_in_for_a_later_lease(rig: Rig) -> None:
    grant = rig.running(prompt="do this")
    rig.do(ops.Release(task_id=grant.task_id, lease=grant.lease))
    with pytest.raises(Conflict):
        rig.do(ops.Complete(task_id=grant.task_id, original_prompt="do this"))
    rig.take()
    with pytest.raises(Conflict, match="lease number 2"):
        rig.do(ops.Complete(task_id=grant.task_id, original_prompt="do this"))


def test_neither_lease_nor_prompt_is_a_mistake(rig: Rig) -> None:
    with pytest.raises(ValidationFailed, match="send `lease`"):
        rig.do(ops.Complete(task_id=rig.running().task_id))


# The length of a lease


def test_a_heartbeat_extends_by_the_length_of_the_lease(rig: Rig) -> None:
    grant = rig.running(lease_ms=10_000)
    rig.time.pass_(6_000)
    beat = rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease))
    assert isinstance(beat, Beat)
    head = rig.head(grant.task_id)
    assert beat.lease_ends_at == head.lease_ends_at == rig.time.at + 10_000
    assert head.expire_at == rig.time.at + 11_000
    rig.pass_(10_999)
    assert rig.status(grant.task_id) is Status.RUNNING
    rig.pass_(1)
    assert rig.status(grant.task_id) is Status.SCHEDULED


def test_a_heartbeat_beats_its_expiry_in_the_same_batch(rig: Rig) -> None:
    grant = rig.running()
    rig.time.pass_(HOUR // 2)
    rig.outcomes(ops.Expire(), ops.Heartbeat(task_id=grant.task_id, lease=grant.lease))
    assert rig.status(grant.task_id) is Status.RUNNING


def test_no_lease_outlives_the_time_out(rig: Rig) -> None:
    grant = rig.running(timeout_ms=25_000)
    until = rig.time.at + 25_000
    for _ in range(6):
        rig.time.pass_(4_000)
        beat = rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease))
        assert isinstance(beat, Beat)
        assert beat.lease_ends_at == min(until, rig.time.at + 10_000)
    rig.pass_(2_000)
    assert rig.status(grant.task_id) is Status.SCHEDULED
    assert "Timeout" in rig.output(grant.task_id, "error")


def test_no_lease_is_extended_long_after_the_cancel_request(rig: Rig) -> None:
    grant = rig.running(lease_ms=50_000)
    rig.do(ops.Cancel(task_id=grant.task_id))
    asked = rig.time.at
    for _ in range(3):
        rig.time.pass_(19_000)
        beat = rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease))
        assert isinstance(beat, Beat)
        assert beat.directive is Directive.CANCEL
        assert beat.lease_ends_at <= asked + 60_000
    rig.pass_(9_000)
    assert rig.status(grant.task_id) is Status.CANCELLED


def test_undelivered_claims_come_back_free_of_charge(rig: Rig) -> None:
    grant = rig.running()
    rank = rig.head(grant.task_id).rank
    outcome = rig.do(ops.Undeliver(task_id=grant.task_id, lease=grant.lease, delivery_no=1))
    assert isinstance(outcome, Changed)
    head = rig.head(grant.task_id)
    assert (head.status, head.attempt, head.lease_no, head.rank) == (Status.WAITING, 0, 1, rank)
    assert rig.fetch("SELECT * FROM attempts") == []
    before = rig.dump()
    assert isinstance(rig.do(ops.Undeliver(task_id=grant.task_id, lease=grant.lease, delivery_no=1)), Done)
    assert rig.dump() == before


@pytest.mark.parametrize("report", USES)
def test_what_was_used_is_not_undelivered(rig: Rig, report: Report) -> None:
    grant = rig.running()
    rig.do(report(grant.task_id, grant.lease))
    rig.do(ops.Undeliver(task_id=grant.task_id, lease=grant.lease, delivery_no=1))
    assert rig.status(grant.task_id) is Status.RUNNING


def test_a_claim_that_nobody_confirms_comes_back_free_of_charge(rig: Rig) -> None:
    rig.add()
    grant = rig.take(confirm_ms=2_000)
    rig.pass_(1_999)
    assert rig.status(grant.task_id) is Status.RUNNING
    rig.pass_(1)
    head = rig.head(grant.task_id)
    assert (head.status, head.attempt) == (Status.WAITING, 0)


@pytest.mark.parametrize("report", USES)
def test_a_confirmed_claim_lives_as_long_as_its_lease(rig: Rig, report: Report) -> None:
    rig.add()
    grant = rig.take(confirm_ms=2_000)
    rig.time.pass_(1_000)
    rig.do(report(grant.task_id, grant.lease))
    rig.pass_(9_000)
    assert rig.status(grant.task_id) is Status.RUNNING
    rig.pass_(10_000)
    assert (rig.status(grant.task_id), rig.head(grant.task_id).attempt) == (Status.SCHEDULED, 1)
