"""Budgets of a directory per day: a gate at the claim, a word at the heartbeat, open again at midnight or when raised."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.budgets import DAY
from orchestrator.domain.outcomes import Beat, Claimed, Freed, Grant
from orchestrator.domain.principal import OPEN, PathScope, Pattern, Principal
from orchestrator.domain.task import Outputs
from orchestrator.store.sqlite.engine import Connection
from tests.rig import HOUR, MINUTE, STORES, Rig, claim, interest
from worker_client.contract.enums import Directive, Status

SCOPED = Principal("scoped", OPEN.scopes, PathScope((Pattern("/a/b", below=True),)))


@pytest.fixture
def rig(rig: Rig) -> Rig:
    """At noon."""
    rig.time.at = rig.time.at // DAY * DAY + DAY // 2
    return rig


def usage(usd: float = 0.0, tokens: int = 0) -> str:
    return json.dumps({"cost_usd": usd, "output_tokens": tokens})


def limit(rig: Rig, path: str = "/a", host: str = "", **facts: Any) -> None:
    rig.do(ops.SetDirectory(path=path, host=host, **facts))


def spend(rig: Rig, usd: float = 0.0, tokens: int = 0, path: str = "/a", **facts: Any) -> None:
    grant = rig.running(path, **facts)
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease, usage=usage(usd, tokens)))


def beat(rig: Rig, grant: Grant, usd: float | None = None) -> Beat:
    outputs = None if usd is None else Outputs(usage_now=usage(usd))
    outcome = rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease, outputs=outputs))
    assert isinstance(outcome, Beat)
    return outcome


def notes(rig: Rig, kind: str) -> list[str]:
    return [event.path for event in rig.events if event.type == f"directory.{kind}"]


@pytest.mark.parametrize(("facts", "words"), [
    ({"daily_micros": 10_000_000}, "$10.02 of $10.00"), ({"daily_tokens": 500}, "500 of 500 tokens"),
    ({"daily_attempts": 1}, "1 of 1 attempts"),
])  # fmt: skip
def test_nothing_is_claimed_below_a_directory_whose_day_is_spent(rig: Rig, facts: dict[str, Any], words: str) -> None:
    limit(rig, "/a", **facts)
    spend(rig, 10.02, 500, "/a/b")
    for path in ("/a", "/a/b", "/a/c/d", "/b"):
        rig.add(path)
    assert rig.claim("/a", recursive=True) == []
    assert rig.take("/b").task_id == 5
    assert notes(rig, "budget_reached") == ["/a"]
    (event,) = [event for event in rig.events if event.type == "directory.budget_reached"]
    assert words == json.loads(event.data)["message"]


def test_what_is_left_is_given_and_may_overshoot_by_what_runs(rig: Rig) -> None:
    limit(rig, daily_micros=10_000_000)
    spend(rig, 9.99)
    for _ in range(3):
        rig.add()
    first, second = rig.take(), rig.take()
    assert beat(rig, first, 0.005).directive is Directive.CONTINUE
    reached = beat(rig, first, 0.02)
    assert reached.directive is Directive.PARK
    assert reached.reason == "the budget of /a for today is used up: $10.01 of $10.00; again at 00:00 UTC, or raise it"
    assert beat(rig, second).directive is Directive.PARK
    assert rig.claim() == []


def test_a_park_for_it_needs_no_person(rig: Rig) -> None:
    limit(rig, daily_micros=1_000_000)
    grant = rig.running(lease_ms=HOUR)
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="budget", usage=usage(1.0)))
    head = rig.head(grant.task_id)
    assert head.hold_until == (rig.time.at // DAY + 1) * DAY
    rig.pass_(DAY // 2 - 1)
    assert rig.claim() == []
    rig.pass_(1)
    assert rig.take().task_id == grant.task_id


def test_a_task_that_used_its_own_budget_up_as_well_waits_for_a_person(rig: Rig) -> None:
    limit(rig, daily_tokens=10)
    grant = rig.running(budget='{"tokens":10}')
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="budget", usage=usage(0, 10)))
    assert rig.head(grant.task_id).hold_until is None


def test_midnight_opens_the_gate_and_wakes_who_waits_at_it(rig: Rig) -> None:
    limit(rig, daily_micros=1_000_000)
    spend(rig, 2.0)
    task_id = rig.add()
    shut = rig.do(claim(interest("/a")))
    assert isinstance(shut, Claimed)
    assert shut.held_at == "/a"
    midnight = (rig.time.at // DAY + 1) * DAY
    assert rig.tick().next_due == midnight
    rig.time.at = midnight - 1
    assert all(not decision.wakes for decision in rig.tick().decisions)
    rig.time.at = midnight
    wakes = [wake for decision in rig.tick().decisions for wake in decision.wakes]
    assert wakes == [Freed("/a")]
    assert notes(rig, "budget_renewed") == ["/a"]
    assert rig.take().task_id == task_id
    assert not any(decision.changes for decision in rig.tick().decisions)


def test_it_is_told_once_a_day_however_often_somebody_asks(rig: Rig) -> None:
    limit(rig, daily_attempts=1)
    spend(rig)
    rig.add()
    for _ in range(3):
        rig.claim()
    assert notes(rig, "budget_reached") == ["/a"]
    rig.pass_(DAY)
    spend_again = rig.take()
    rig.do(ops.Complete(task_id=spend_again.task_id, lease=spend_again.lease))
    assert notes(rig, "budget_reached") == ["/a", "/a"]


def test_a_raised_budget_opens_at_once_also_for_those_that_were_parked_for_it(rig: Rig) -> None:
    limit(rig, daily_micros=1_000_000)
    grant = rig.running("/a/b")
    other = rig.running("/a/c")
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="budget", usage=usage(1.0)))
    rig.do(ops.Park(task_id=other.task_id, lease=other.lease, hold="quota"))
    limit(rig, max_running=5)
    assert rig.status(grant.task_id) is Status.PARKED
    limit(rig, daily_micros=3_000_000)
    assert [rig.status(one.task_id) for one in (grant, other)] == [Status.WAITING, Status.PARKED]
    assert rig.take("/a/b").task_id == grant.task_id
    rig.do(ops.SetDirectory(path="/a", daily_micros=None))
    assert rig.tick().next_due == rig.head(grant.task_id).expire_at


def test_attempts_that_run_count_so_that_there_are_never_more(rig: Rig) -> None:
    limit(rig, daily_attempts=3)
    for _ in range(6):
        rig.add(timeout_ms=DAY, max_attempts=1)
    grants = rig.claim(limit=6, lease_ms=HOUR)
    assert len(grants) == 3
    first, second, third = grants
    rig.do(ops.Release(task_id=first.task_id, lease=first.lease))
    assert len(rig.claim(limit=6, lease_ms=HOUR)) == 1
    rig.do(ops.Fail(task_id=second.task_id, lease=second.lease, error="{}"))
    rig.do(ops.Complete(task_id=third.task_id, lease=third.lease))
    assert rig.claim(limit=6) == []


def test_the_end_of_an_attempt_that_is_given_back_wakes_as_far_as_the_budget_reaches(rig: Rig) -> None:
    limit(rig, "/", daily_attempts=1)
    grant = rig.running("/a")
    commit = rig.commit(ops.Release(task_id=grant.task_id, lease=grant.lease))
    assert Freed("/") in commit.decisions[0].wakes


def test_what_uses_neither_tokens_nor_money_goes_on(rig: Rig) -> None:
    limit(rig, daily_micros=0)
    for kind in ("agent", "script", "mine"):
        rig.add(kind=kind)
    (grant,) = rig.claim(limit=9)
    assert rig.head(grant.task_id).kind == "script"
    assert beat(rig, grant).directive is Directive.CONTINUE
    limit(rig, daily_attempts=1)
    rig.add(kind="http")
    assert rig.claim(limit=9) == []


def test_a_budget_for_one_host_counts_what_was_used_there(rig: Rig) -> None:
    limit(rig, "/a", "h1", daily_micros=1_000_000)
    spend(rig, 5.0, host="h2")
    spend(rig, 1.0, host="h1")
    rig.add()
    assert rig.claim(host="h1") == []
    assert len(rig.claim(host="h2")) == 1


def test_of_budgets_over_each_other_each_holds(rig: Rig) -> None:
    limit(rig, "/", daily_tokens=100)
    limit(rig, "/a", daily_tokens=10)
    spend(rig, 0, 10, "/a")
    rig.add("/a")
    rig.add("/b")
    assert rig.take("/", recursive=True).task_id == 3
    spend(rig, 0, 90, "/c")
    rig.add("/b")
    assert rig.claim("/", recursive=True) == []
    assert notes(rig, "budget_reached") == ["/a", "/"]


def test_what_others_use_is_not_told_to_who_cannot_see_them(rig: Rig) -> None:
    limit(rig, "/a", daily_micros=1_000_000)
    grant = rig.running("/a/b", by=SCOPED)
    spend(rig, 1.5, path="/a/c")
    outcome = rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease), SCOPED)
    assert isinstance(outcome, Beat)
    assert outcome.reason == "the budget of a directory above this one for today is used up; again at 00:00 UTC"


def test_what_a_batch_ends_is_seen_by_its_claims(rig: Rig) -> None:
    limit(rig, daily_micros=1_000_000)
    grant = rig.running()
    rig.add()
    _, asked = rig.outcomes(ops.Complete(task_id=grant.task_id, lease=grant.lease, usage=usage(1.0)), claim(interest("/a")))
    assert isinstance(asked, Claimed)
    assert not asked.grants
    assert notes(rig, "budget_reached") == ["/a"]


def test_only_what_lies_below_counts_of_what_a_batch_ends(rig: Rig) -> None:
    limit(rig, daily_tokens=10)
    grants = [rig.running(path) for path in ("/a", "/b", "/a/b")]
    rig.add()
    ends = [
        ops.Complete(task_id=grant.task_id, lease=grant.lease, usage=usage(0, tokens))
        for grant, tokens in zip(grants, (4, 50, 5), strict=True)
    ]
    *_, asked = rig.outcomes(*ends, claim(interest("/a")))
    assert isinstance(asked, Claimed)
    assert len(asked.grants) == 1
    assert notes(rig, "budget_reached") == []


def test_a_claim_with_tags_is_kept_back_as_well(rig: Rig) -> None:
    limit(rig, daily_attempts=0)
    rig.add(tags=("gpu",))
    outcome = rig.do(claim(interest("/a", tags=("gpu",))))
    assert isinstance(outcome, Claimed)
    assert (outcome.grants, outcome.held_at) == ([], "/a")
    rig.pass_(MINUTE)


@pytest.mark.parametrize("kind", STORES)
def test_a_server_that_starts_again_knows_what_is_spent_and_when_the_day_ends(kind: str, tmp_path: Path) -> None:
    before = Rig(tmp_path, kind)
    before.time.at = before.time.at // DAY * DAY + DAY // 2
    limit(before, daily_micros=1_000_000)
    spend(before, 1.5)
    before.add()
    assert before.claim() == []
    before.close()
    rig = Rig(tmp_path, kind, time=before.time)
    assert rig.opened.next_due == (rig.time.at // DAY + 1) * DAY
    assert rig.claim() == []
    assert notes(rig, "budget_reached") == []
    rig.pass_(DAY // 2)
    assert rig.take().task_id == 2
    rig.close()


def test_a_heartbeat_reads_no_settings_of_thousands_of_directories(embedded: Rig) -> None:
    """Their number costs whoever sets one, and nobody else."""
    rig = embedded
    grant = rig.running("/a", lease_ms=HOUR)
    rig.commit(*(ops.SetDirectory(path=f"/r/{number}", daily_tokens=10) for number in range(1_000)))
    beat(rig, grant)
    asked: list[str] = []
    writer = rig.store._writer
    assert isinstance(writer, Connection)
    rig._runner.run(writer.run(lambda database: database.set_trace_callback(asked.append)))
    beat(rig, grant)
    assert [statement for statement in asked if "FROM directories" in statement and "daily_tokens" in statement] == []
    limit(rig, "/a", daily_micros=0)
    assert beat(rig, grant).directive is Directive.PARK
    limit(rig, "/a", daily_micros=None)
    assert beat(rig, grant).directive is Directive.CONTINUE
