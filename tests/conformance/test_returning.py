"""How tasks come back: released, parked, failed, expired, approved, changed."""

from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Beat, Changed
from orchestrator.domain.rules import MINUTE
from orchestrator.domain.task import Outputs
from tests.rig import HOUR, Rig, claim
from worker_client.contract.enums import Directive, LogStream, Status
from worker_client.errors import Conflict

WAITING, SCHEDULED, PARKED = Status.WAITING, Status.SCHEDULED, Status.PARKED


def attempts(rig: Rig) -> list[tuple[Any, ...]]:
    return rig.fetch("SELECT lease_no, attempt, outcome FROM attempts ORDER BY id")


# Given back


def test_releases_are_free_once_then_slower_then_parked(rig: Rig) -> None:
    task_id = rig.add()
    rank = rig.head(task_id).rank
    delays = []
    for turn in range(1, 21):
        grant = rig.take()
        rig.do(ops.Release(task_id=task_id, lease=grant.lease))
        head = rig.head(task_id)
        assert (head.attempt, head.releases, head.rank) == (0, turn, rank)
        delays.append((head.due_at or rig.time.at) - rig.time.at)
        if turn < 20:
            assert head.status is (WAITING if turn == 1 else SCHEDULED)
            rig.pass_(delays[-1])
    assert delays[:4] == [0, 1_000, 2_000, 4_000]
    assert max(delays) == 5 * MINUTE
    head = rig.head(task_id)
    assert (head.status, head.hold, head.hold_until) == (PARKED, "releases", rig.time.at + HOUR)
    rig.pass_(HOUR)
    assert rig.status(task_id) is WAITING


def test_a_used_release_is_no_mark_against_it(rig: Rig) -> None:
    task_id = rig.add()
    for _ in range(30):
        grant = rig.take()
        rig.do(ops.Heartbeat(task_id=task_id, lease=grant.lease))
        rig.do(ops.Release(task_id=task_id, lease=grant.lease))
    assert (rig.status(task_id), rig.head(task_id).releases) == (WAITING, 0)


def test_a_release_until_later(rig: Rig) -> None:
    grant = rig.running()
    until = rig.time.at + HOUR
    rig.do(ops.Release(task_id=grant.task_id, lease=grant.lease, not_before=until, reason="busy"))
    head = rig.head(grant.task_id)
    assert (head.status, head.due_at, head.ready_at, head.reason) == (SCHEDULED, until, until, "busy")
    rig.pass_(HOUR - 1)
    assert rig.status(grant.task_id) is SCHEDULED
    rig.pass_(1)
    assert (rig.status(grant.task_id), rig.head(grant.task_id).rank) == (WAITING, until)
    assert attempts(rig) == [(1, 1, "released")]


def test_a_quota_without_a_time_is_a_quarter_of_an_hour(rig: Rig) -> None:
    grant = rig.running()
    rank = rig.head(grant.task_id).rank
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="quota", account="team"))
    head = rig.head(grant.task_id)
    assert (head.status, head.hold_until, head.attempt, head.account) == (PARKED, rig.time.at + 15 * MINUTE, 0, "team")
    rig.pass_(15 * MINUTE)
    assert (rig.status(grant.task_id), rig.head(grant.task_id).rank) == (WAITING, rank)


@pytest.mark.parametrize("hold", ["quota", "budget", "question", "approval", "releases"])
def test_whatever_it_is_parked_for_there_is_a_way_out(rig: Rig, hold: str) -> None:
    grant = rig.running()
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold=hold))
    head = rig.head(grant.task_id)
    assert head.hold_until is not None or hold in {"budget", "question", "approval"}


def test_a_question_and_its_answer(rig: Rig) -> None:
    grant = rig.running()
    asked = Outputs(question='"which?"', options='["a", "b"]', session_id="s1")
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="question", outputs=asked))
    with pytest.raises(Conflict):
        rig.do(ops.Approve(task_id=grant.task_id))
    with pytest.raises(Conflict, match="answer its question"):
        rig.do(ops.Execute(task_id=grant.task_id))
    rig.pass_(100 * HOUR)
    assert rig.status(grant.task_id) is PARKED
    rig.do(ops.Answer(task_id=grant.task_id, answer='"a"'))
    assert rig.status(grant.task_id) is WAITING
    assert rig.output(grant.task_id, "answer") == '"a"'
    again = rig.take()
    assert rig.output(again.task_id, "session_id") == "s1"


def test_approval_before_the_first_run_counts_from_when_it_is_given(rig: Rig) -> None:
    task_id = rig.add(requires_approval=True)
    assert rig.claim() == []
    with pytest.raises(Conflict):
        rig.do(ops.Answer(task_id=task_id, answer='"x"'))
    rig.time.pass_(HOUR)
    rig.do(ops.Approve(task_id=task_id))
    assert (rig.status(task_id), rig.head(task_id).ready_at) == (WAITING, rig.time.at)


def test_a_rejected_task_that_is_retried_must_be_approved_again(rig: Rig) -> None:
    task_id = rig.add(requires_approval=True)
    rig.do(ops.Reject(task_id=task_id, reason="no"))
    assert (rig.status(task_id), rig.head(task_id).reason) == (Status.CANCELLED, "no")
    rig.do(ops.Retry(task_id=task_id))
    assert rig.status(task_id) is PARKED
    rig.do(ops.Approve(task_id=task_id))
    assert rig.status(task_id) is WAITING


# Failed, expired, cancelled


def test_failures_back_off_until_the_attempts_are_used_up(rig: Rig) -> None:
    task_id = rig.add(max_attempts=3)
    for attempt, delay in ((1, 2_000), (2, 4_000)):
        grant = rig.take()
        rig.do(ops.Fail(task_id=task_id, lease=grant.lease, error='{"type": "E"}', message="m"))
        head = rig.head(task_id)
        assert (head.status, head.attempt, head.due_at) == (SCHEDULED, attempt, rig.time.at + delay)
        assert head.rank == head.ready_at == head.due_at
        # Promotion writes the due time, never the promoter's clock.
        rig.pass_(HOUR)
        assert rig.head(task_id).rank == head.rank
    grant = rig.take()
    rig.do(ops.Fail(task_id=task_id, lease=grant.lease, error="{}"))
    assert (rig.status(task_id), rig.head(task_id).attempt) == (Status.FAILED, 3)
    assert [outcome for _, _, outcome in attempts(rig)] == ["failed"] * 3


def test_a_failure_says_when_to_try_again(rig: Rig) -> None:
    grant = rig.running()
    rig.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}", retry_after_ms=123))
    assert rig.head(grant.task_id).due_at == rig.time.at + 123


def test_given_back_and_dead_attempts_are_counted_apart(rig: Rig) -> None:
    task_id = rig.add(max_attempts=2)
    rig.do(ops.Release(task_id=task_id, lease=rig.take().lease))
    rig.take()
    rig.pass_(11_000)
    assert rig.head(task_id).attempt == 1
    rig.pass_(HOUR)
    rig.do(ops.Park(task_id=task_id, lease=rig.take().lease, hold="quota"))
    rig.pass_(HOUR)
    rig.take()
    rig.pass_(11_000)
    assert (rig.status(task_id), rig.head(task_id).attempt) == (Status.FAILED, 2)
    assert attempts(rig) == [(1, 1, "released"), (2, 1, "expired"), (3, 2, "parked"), (4, 2, "expired")]


def test_a_running_task_is_asked_to_stop(rig: Rig) -> None:
    grant = rig.running()
    rig.do(ops.Cancel(task_id=grant.task_id, reason="enough"))
    asked_at = rig.head(grant.task_id).cancel_requested_at
    rig.time.pass_(1_000)
    rig.do(ops.Cancel(task_id=grant.task_id, reason="again"))
    assert (rig.head(grant.task_id).cancel_requested_at, rig.head(grant.task_id).reason) == (asked_at, "enough")
    beat = rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease))
    assert isinstance(beat, Beat)
    assert beat.directive is Directive.CANCEL
    rig.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}"))
    head = rig.head(grant.task_id)
    assert (head.status, head.reason, head.cancel_requested_at) == (Status.CANCELLED, "enough", None)


def test_what_completes_after_the_cancel_request_is_completed(rig: Rig) -> None:
    grant = rig.running()
    rig.do(ops.Cancel(task_id=grant.task_id))
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    assert (rig.status(grant.task_id), rig.head(grant.task_id).reason) == (Status.COMPLETED, None)


@pytest.mark.parametrize("how", ["release", "park", "undeliver"])
def test_given_back_after_the_cancel_request_costs_no_attempt(rig: Rig, how: str) -> None:
    grant = rig.running()
    rig.do(ops.Cancel(task_id=grant.task_id))
    rig.do({
        "release": ops.Release(task_id=grant.task_id, lease=grant.lease),
        "park": ops.Park(task_id=grant.task_id, lease=grant.lease, hold="quota"),
        "undeliver": ops.Undeliver(task_id=grant.task_id, lease=grant.lease, delivery_no=1),
    }[how])  # fmt: skip
    assert (rig.status(grant.task_id), rig.head(grant.task_id).attempt) == (Status.CANCELLED, 0)


def test_cancelled_in_the_batch_in_which_it_is_claimed(rig: Rig) -> None:
    task_id = rig.add()
    rig.outcomes(claim(), ops.Cancel(task_id=task_id))
    assert rig.status(task_id) is Status.CANCELLED


# Changed


def test_a_change_needs_the_present_version(rig: Rig) -> None:
    task_id = rig.add()
    version = rig.head(task_id).version
    rig.do(ops.Update(task_id=task_id, version=version, title="one"))
    before = rig.dump()
    with pytest.raises(Conflict) as refusal:
        rig.do(ops.Update(task_id=task_id, version=version, title="two"))
    assert refusal.value.details["version"] == version + 1
    assert rig.dump() == before


def test_two_changes_of_one_version_in_one_batch(rig: Rig) -> None:
    task_id = rig.add()
    version = rig.head(task_id).version
    first, second = rig.outcomes(*(ops.Update(task_id=task_id, version=version, title=title) for title in "ab"))
    assert isinstance(first, Changed)
    assert isinstance(second, Conflict)
    assert rig.head(task_id).title == "a"


def test_everything_that_may_change_changes(rig: Rig) -> None:
    task_id = rig.add(tags=("old",))
    facts = {
        "path": "/b", "host": "h1", "title": "t", "priority": 3, "tags": ("x", "y"), "exclusive": True, "max_attempts": 9,
        "timeout_ms": 5_000, "backoff": '{"base_seconds": 1}',
    }  # fmt: skip
    outcome = rig.do(ops.Update(task_id=task_id, inputs={"prompt": "new", "metadata": '{"a": 1}'}, **facts))  # type: ignore[arg-type]
    head = rig.head(task_id)
    assert {name: getattr(head, name) for name in facts} == facts
    assert head.rank == rig.rules.rank(head.ready_at, 3)
    assert rig.fetch("SELECT prompt, metadata FROM task_inputs") == [("new", '{"a": 1}')]
    assert isinstance(outcome, Changed)
    assert outcome.view is not None
    assert (outcome.view.head, outcome.view.inputs.prompt) == (head, "new")
    grant = rig.take("/b", host="h1")
    assert rig.head(grant.task_id).lease_deadline == rig.time.at + 5_000


def test_moving_the_time(rig: Rig) -> None:
    task_id = rig.add()
    rig.do(ops.Update(task_id=task_id, run_at=rig.time.at + HOUR))
    assert (rig.status(task_id), rig.head(task_id).rank) == (SCHEDULED, rig.time.at + HOUR)
    rig.do(ops.Update(task_id=task_id, run_at=None))
    assert (rig.status(task_id), rig.head(task_id).rank) == (WAITING, rig.time.at)


def test_deleted_with_all_that_belongs_to_it(rig: Rig) -> None:
    grant = rig.running(key="k", key_hash="h")
    rig.do(ops.AppendLogs(task_id=grant.task_id, lease=grant.lease, lines=(ops.LogLine("x", LogStream.STDOUT, None),)))
    rig.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}"))
    rig.do(ops.Delete(task_id=grant.task_id))
    rows = rig.dump()
    assert not any(rows[table] for table in ("tasks", "task_inputs", "task_outputs", "attempts", "task_logs"))
    assert len(rows["task_keys"]) == 1


@pytest.mark.parametrize("first", ["release", "fail", "complete", "answer", "update", "cancel"])
def test_changed_and_deleted_in_one_batch(rig: Rig, first: str) -> None:
    grant = rig.running() if first in {"release", "fail", "complete"} else None
    task_id = grant.task_id if grant else rig.add()
    if first == "answer":
        held = rig.take()
        rig.do(ops.Park(task_id=task_id, lease=held.lease, hold="question"))
    lease = grant.lease if grant else ""
    changed, deleted = rig.outcomes({
        "release": ops.Release(task_id=task_id, lease=lease),
        "fail": ops.Fail(task_id=task_id, lease=lease, error="{}"),
        "complete": ops.Complete(task_id=task_id, lease=lease),
        "answer": ops.Answer(task_id=task_id, answer='"x"'),
        "update": ops.Update(task_id=task_id, title="x", inputs={"prompt": "x"}),
        "cancel": ops.Cancel(task_id=task_id),
    }[first], ops.Delete(task_id=task_id))  # fmt: skip
    assert not isinstance(deleted, Exception)
    assert isinstance(changed, Changed)
    # What was answered is the task as it was: there is no other answer to give.
    assert changed.view is not None
    assert rig.heads() == {}
    assert rig.counts() == ({}, {})
