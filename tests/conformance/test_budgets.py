"""The budget of a task: claimed while something is left, parked once it is used up, never killed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.budgets import Budget, granted, used_up
from orchestrator.domain.outcomes import Beat, Grant
from orchestrator.domain.task import Outputs
from tests.rig import HOUR, Rig
from worker_client.contract.enums import Directive, Status
from worker_client.contract.reports import MOST
from worker_client.errors import Conflict

DOLLARS = Budget(micros=2_000_000)
TOKENS = Budget(tokens=1_000)


def usage(tokens: int = 0, usd: float = 0.0) -> str:
    return json.dumps(
        {"input_tokens": tokens // 2, "output_tokens": tokens - tokens // 2, "cached_tokens": 10**6, "cost_usd": usd}
    )


def beat(rig: Rig, grant: Grant, *used: float, **facts: Any) -> Beat:
    outputs = Outputs(usage_now=usage(*used)) if used else None  # type: ignore[arg-type]
    outcome = rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease, outputs=outputs, **facts))
    assert isinstance(outcome, Beat)
    return outcome


def told(rig: Rig, kind: str) -> list[str | None]:
    return [json.loads(event.data).get("message") for event in rig.events if event.type == kind]


def test_a_heartbeat_that_uses_the_budget_up_is_told_to_park_and_so_are_those_after_it(rig: Rig) -> None:
    grant = rig.running(budget=DOLLARS.text, lease_ms=HOUR)
    assert beat(rig, grant, 500, 1.5).directive is Directive.CONTINUE
    reached = beat(rig, grant, 600, 2.31)
    assert (reached.directive, reached.reason) == (Directive.PARK, "the task's budget is used up: used $2.31 of $2.00")
    assert beat(rig, grant).directive is Directive.PARK
    assert beat(rig, grant, 700, 2.5).directive is Directive.PARK
    assert told(rig, "task.budget_reached") == ["used $2.31 of $2.00"]
    assert rig.status(grant.task_id) is Status.RUNNING


def test_whoever_goes_on_all_the_same_completes(rig: Rig) -> None:
    grant = rig.running(budget=TOKENS.text)
    assert beat(rig, grant, 1_000).directive is Directive.PARK
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease, usage=usage(1_200)))
    assert rig.status(grant.task_id) is Status.COMPLETED


def test_a_cancel_comes_before_a_budget(rig: Rig) -> None:
    grant = rig.running(budget=TOKENS.text)
    rig.do(ops.Cancel(task_id=grant.task_id))
    assert beat(rig, grant, 5_000).directive is Directive.CANCEL


ENDS: dict[str, Callable[[Grant], ops.Operation]] = {
    "fail": lambda grant: ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}", retry_after_ms=0, usage=usage(1_000)),
    "release": lambda grant: ops.Release(task_id=grant.task_id, lease=grant.lease, usage=usage(1_000)),
    "park": lambda grant: ops.Park(task_id=grant.task_id, lease=grant.lease, hold="budget", usage=usage(1_000)),
}


@pytest.mark.parametrize("end", [*ENDS, "expire", "quota", "question"])
def test_however_an_attempt_ends_with_the_budget_used_up_the_task_is_not_claimed_again(rig: Rig, end: str) -> None:
    grant = rig.running(budget=TOKENS.text, max_attempts=9)
    if end == "expire":
        beat(rig, grant, 1_000)
        rig.pass_(HOUR)
    elif end == "quota":
        rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="quota", usage=usage(1_000)))
        rig.pass_(HOUR)
    elif end == "question":
        rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="question", usage=usage(1_000)))
        rig.do(ops.Answer(task_id=grant.task_id, answer='"yes"'))
    else:
        rig.do(ENDS[end](grant))
    head = rig.head(grant.task_id)
    assert (head.status, head.hold, head.hold_until, head.reason) == (
        Status.PARKED, "budget", None, "used 1,000 of 1,000 tokens",
    )  # fmt: skip
    rig.pass_(100 * HOUR)
    assert rig.claim() == []
    with pytest.raises(Conflict, match="approve or reject"):
        rig.do(ops.Execute(task_id=grant.task_id))


def test_the_sum_over_all_attempts_counts(rig: Rig) -> None:
    task_id = rig.add(budget=TOKENS.text, max_attempts=9)
    for used in (400, 400):
        rig.do(ops.Fail(task_id=task_id, lease=rig.take().lease, error="{}", retry_after_ms=0, usage=usage(used)))
    grant = rig.take()
    assert beat(rig, grant, 199).directive is Directive.CONTINUE
    assert beat(rig, grant, 200).directive is Directive.PARK


def test_an_approval_grants_as_much_again_and_the_sum_stays_honest(rig: Rig) -> None:
    grant = rig.running(budget=DOLLARS.text)
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="budget", usage=usage(0, 2.31)))
    rig.do(ops.Approve(task_id=grant.task_id))
    second = rig.take()
    assert rig.head(grant.task_id).reason is None
    assert beat(rig, second, 0, 1.99).directive is Directive.CONTINUE
    assert beat(rig, second, 0, 2.0).reason == "the task's budget is used up: used $4.31 of $4.31"
    rig.do(ops.Park(task_id=grant.task_id, lease=second.lease, hold="budget"))
    rig.do(ops.Reject(task_id=grant.task_id, reason="too much"))
    assert rig.status(grant.task_id) is Status.CANCELLED


def test_a_higher_budget_brings_it_back_by_itself_and_another_change_does_not(rig: Rig) -> None:
    grant = rig.running(budget=DOLLARS.text)
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="budget", usage=usage(0, 2.31)))
    rig.do(ops.Update(task_id=grant.task_id, budget=(None, 2_000_000), title="t"))
    rig.do(ops.Update(task_id=grant.task_id, budget=(None, 2_300_000)))
    assert rig.head(grant.task_id).reason == "used $2.31 of $2.30"
    rig.do(ops.Update(task_id=grant.task_id, budget=(None, 3_000_000)))
    assert rig.status(grant.task_id) is Status.WAITING
    rig.do(ops.Update(task_id=grant.task_id, budget=(5, None)))
    assert rig.status(grant.task_id) is Status.WAITING
    rig.do(ops.Update(task_id=grant.task_id, budget=(0, None)))
    assert rig.status(grant.task_id) is Status.PARKED
    rig.do(ops.Update(task_id=grant.task_id, budget=None))
    assert (rig.status(grant.task_id), rig.head(grant.task_id).budget) == (Status.WAITING, None)


def test_a_budget_that_is_given_later_counts_what_was_used_before(rig: Rig) -> None:
    grant = rig.running()
    rig.do(ops.Release(task_id=grant.task_id, lease=grant.lease, usage=usage(700)))
    rig.do(ops.Update(task_id=grant.task_id, budget=(700, None)))
    assert rig.head(grant.task_id).reason == "used 700 of 700 tokens"


def test_a_budget_of_nothing_runs_never(rig: Rig) -> None:
    task_id = rig.add(budget=Budget(tokens=0).text)
    assert (rig.status(task_id), rig.head(task_id).hold) == (Status.PARKED, "budget")
    with pytest.raises(Conflict, match=r"spec\.budget"):
        rig.do(ops.Approve(task_id=task_id))
    asked = rig.add(budget=Budget(micros=0).text, requires_approval=True)
    rig.do(ops.Approve(task_id=asked))
    assert rig.head(asked).hold == "budget"


def test_a_worker_may_park_for_a_budget_of_its_own(rig: Rig) -> None:
    grant = rig.running()
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="budget", message="the month is over"))
    head = rig.head(grant.task_id)
    assert (head.hold, head.hold_until, head.reason) == ("budget", None, "the month is over")
    rig.do(ops.Approve(task_id=grant.task_id))
    assert rig.take().task_id == grant.task_id


def test_a_retry_does_not_forget_what_was_used(rig: Rig) -> None:
    grant = rig.running(budget=TOKENS.text)
    rig.do(ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}", retryable=False, usage=usage(1_000)))
    rig.do(ops.Retry(task_id=grant.task_id))
    assert rig.head(grant.task_id).hold == "budget"
    rig.do(ops.Approve(task_id=grant.task_id))
    assert rig.take().task_id == grant.task_id


def test_two_heartbeats_of_one_transaction_cross_the_budget_once(rig: Rig) -> None:
    grant = rig.running(budget=TOKENS.text)
    beats = [
        ops.Heartbeat(task_id=grant.task_id, lease=grant.lease, outputs=Outputs(usage_now=usage(used)))
        for used in (900, 1_000, 1_100)
    ]
    directives = [outcome.directive for outcome in rig.outcomes(*beats) if isinstance(outcome, Beat)]
    assert directives == [Directive.CONTINUE, Directive.PARK, Directive.PARK]
    assert len(told(rig, "task.budget_reached")) == 1


def test_words_have_as_many_digits_as_they_need() -> None:
    assert used_up(Budget(micros=4_000, used_micros=4_200).text) == "used $0.0042 of $0.004"
    assert used_up(Budget(micros=1_500_000_000, used_micros=1_500_000_001).text) == "used $1,500.00 of $1,500.00"
    assert used_up(Budget(tokens=5, micros=5, used_tokens=4, used_micros=4).text) is None
    assert used_up(None) is None


def test_of_two_budgets_an_approval_raises_the_one_that_is_used_up() -> None:
    both = Budget(tokens=100, micros=1_000, used_tokens=130, used_micros=10)
    assert granted(both.text) == Budget(tokens=100, micros=1_000, more_tokens=130, used_tokens=130, used_micros=10).text
    assert granted(None) is None


def test_counts_end_where_every_language_can_count_no_further(rig: Rig) -> None:
    task_id = rig.add(budget=Budget(tokens=MOST).text, max_attempts=9)
    for _ in range(2):
        rig.do(ops.Release(task_id=task_id, lease=rig.take().lease, usage=json.dumps({"input_tokens": MOST - 5})))
    assert rig.head(task_id).hold == "budget"
