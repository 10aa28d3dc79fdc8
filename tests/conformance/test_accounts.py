"""Accounts whose quota is used up: nothing is given to them until the reset, and nothing is lost by it."""

from typing import Any

import pytest
from msgspec import json

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed, Grant, Lifted, Resumed
from orchestrator.domain.principal import ALL_SCOPES, EVERYWHERE, OPEN, SYSTEM, Principal, path_scope
from orchestrator.domain.task import Outputs
from tests.reading import read
from tests.rig import HOUR, MINUTE, START, Rig, claim, interest
from worker_client.contract.accounts import Account
from worker_client.contract.enums import Status
from worker_client.errors import LeaseLost, NotFound, ValidationFailed

ME = "claude:me@laptop"


def tenant(name: str) -> Principal:
    return Principal(name, ALL_SCOPES, path_scope([f"/{name}/**"]))


def stop(rig: Rig, grant: Grant, until: int | None = None, by: Principal = OPEN, account: str | None = None) -> None:
    news = Outputs(session_id=f"s{grant.task_id}")
    rig.do(
        ops.Park(task_id=grant.task_id, lease=grant.lease, hold="quota", not_before=until, account=account, outputs=news), by
    )  # fmt: skip


def asked(rig: Rig, *paths: str, by: Principal = OPEN, account: str = ME, **facts: Any) -> Claimed:
    outcome = rig.do(claim(interest(*paths, by=by), account=account, **facts), by)
    assert isinstance(outcome, Claimed)
    return outcome


def accounts(rig: Rig, by: Principal = OPEN) -> list[Account]:
    return read(rig, rig.store.reads.accounts(by.paths, rig.time.at))


def test_an_account_without_quota_gets_nothing_until_the_reset(rig: Rig) -> None:
    rig.add()
    rig.add()
    grant = rig.take(account=ME)
    stop(rig, grant, START + HOUR)
    assert asked(rig).quota
    assert asked(rig, account="codex:me@laptop").grants
    rig.time.pass_(HOUR - 1)
    assert asked(rig).quota
    rig.pass_(1)
    (again,) = asked(rig).grants
    assert (again.task_id, rig.head(again.task_id).attempt) == (grant.task_id, 1)


def test_the_reset_is_known_to_be_due(rig: Rig) -> None:
    stop(rig, rig.running(), START + HOUR, account=ME)
    rig.do(ops.Cancel(task_id=1))
    assert rig.tick().next_due == START + HOUR
    rig.time.pass_(HOUR)
    commit = rig.tick()
    assert commit.decisions[1].wakes == [Resumed("**", ME)]
    assert [event.type for event in commit.events] == ["account.resumed"]
    assert commit.next_due is None
    assert accounts(rig)[0].held_until is None


def test_without_a_time_it_is_a_quarter_of_an_hour_and_never_less_than_was_said_before(rig: Rig) -> None:
    first, second, third = rig.running("/a"), rig.running("/b"), rig.running("/c")
    stop(rig, first, account=ME)
    assert [one.held_until.timestamp() for one in accounts(rig) if one.held_until] == [(START + 15 * MINUTE) / 1000]
    stop(rig, second, START + HOUR, account=ME)
    stop(rig, third, START + MINUTE, account=ME)
    (known,) = accounts(rig)
    assert known.held_until is not None
    assert known.held_until.timestamp() * 1000 == START + HOUR
    assert (known.account, known.parked) == (ME, 3)
    rig.pass_(MINUTE)
    assert rig.status(third.task_id) is Status.WAITING
    assert asked(rig, "/c").quota
    assert [grant.task_id for grant in asked(rig, "/c", account="other").grants] == [third.task_id]


def test_a_reset_that_is_over_is_waited_for_a_little_all_the_same(rig: Rig) -> None:
    grant = rig.running()
    stop(rig, grant, START - 1, account=ME)
    assert rig.head(grant.task_id).hold_until == START + MINUTE
    assert asked(rig).quota


def test_other_holds_and_parks_without_an_account_concern_no_account(rig: Rig) -> None:
    grant = rig.running()
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="question", account=ME))
    stop(rig, rig.running("/b"))
    assert accounts(rig) == []
    assert not asked(rig).quota


def test_whoever_sees_other_directories_has_other_accounts(rig: Rig) -> None:
    one, other = tenant("one"), tenant("other")
    rig.add("/one")
    rig.add("/one")
    rig.add("/other")
    stop(rig, rig.take("/one", by=one), START + HOUR, one, ME)
    assert asked(rig, "/one", by=one).quota
    assert asked(rig, "/other", by=other).grants
    assert [known.account for known in accounts(rig, one)] == [ME]
    assert accounts(rig, other) == []
    assert [known.account for known in accounts(rig)] == [ME]
    with pytest.raises(NotFound, match="no account"):
        rig.do(ops.SetAccount(account=ME), other)
    rig.do(ops.SetAccount(account=ME, held_until=START + HOUR), other)
    rig.do(ops.SetAccount(account=ME), other)
    assert asked(rig, "/one", by=one).quota


def test_only_who_holds_a_lease_stops_an_account(rig: Rig) -> None:
    grant = rig.running()
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    with pytest.raises(LeaseLost):
        stop(rig, grant, START + HOUR, account=ME)
    assert accounts(rig) == []


def test_it_can_be_let_go_on_before_its_time(rig: Rig) -> None:
    stopped = [rig.running(f"/{n}") for n in range(3)]
    for grant in stopped:
        stop(rig, grant, START + HOUR, account=ME)
    elsewhere = rig.running("/x")
    stop(rig, elsewhere, START + HOUR, account="other")
    commit = rig.commit(ops.SetAccount(account=ME))
    assert commit.decisions[0].outcome == Lifted(None)
    assert Resumed("**", ME) in commit.decisions[0].wakes
    assert [rig.status(grant.task_id) for grant in stopped] == [Status.WAITING] * 3
    assert rig.status(elsewhere.task_id) is Status.PARKED
    assert asked(rig, "/0").grants
    assert [known.held_until is None for known in accounts(rig)] == [True, False]


def test_to_let_it_go_on_twice_is_harmless(rig: Rig) -> None:
    stop(rig, rig.running(), START + HOUR, account=ME)
    rig.do(ops.SetAccount(account=ME))
    assert rig.commit(ops.SetAccount(account=ME)).events == []


def test_many_come_back_step_by_step(rig: Rig) -> None:
    for n in range(3):
        stop(rig, rig.running(f"/{n}"), START + HOUR, account=ME)
    first = rig.do(ops.SetAccount(account=ME, limit=2))
    assert isinstance(first, Lifted)
    assert first.last == 2
    assert rig.do(ops.SetAccount(account=ME, after=2, limit=2)) == Lifted(None)
    assert {head.status for head in rig.heads().values()} == {Status.WAITING}


def test_somebody_else_can_hold_it(rig: Rig) -> None:
    rig.add()
    rig.do(ops.SetAccount(account=ME, held_until=START + HOUR, reason="holidays"))
    assert asked(rig).quota
    assert accounts(rig)[0].reason == "holidays"
    rig.do(ops.SetAccount(account=ME, held_until=START + MINUTE))
    rig.pass_(MINUTE)
    assert asked(rig).grants
    with pytest.raises(ValidationFailed, match="is over"):
        rig.do(ops.SetAccount(account=ME, held_until=START))


def test_who_sees_all_lets_all_of_that_name_go_on(rig: Rig) -> None:
    one = tenant("one")
    stop(rig, rig.running("/one", by=one), START + HOUR, one, ME)
    stop(rig, rig.running("/all"), START + HOUR, account=ME)
    assert accounts(rig)[0].parked == 2
    rig.do(ops.SetAccount(account=ME))
    assert asked(rig, "/one", by=one).grants
    assert asked(rig, "/all").grants


def test_a_tenant_lets_only_its_own_tasks_go_on(rig: Rig) -> None:
    one = tenant("one")
    stop(rig, rig.running("/one", by=one), START + HOUR, one, ME)
    stop(rig, rig.running("/all"), START + HOUR, account=ME)
    rig.do(ops.SetAccount(account=ME), one)
    assert (rig.status(1), rig.status(2)) == (Status.WAITING, Status.PARKED)
    assert asked(rig, "/all").quota


def test_in_one_batch_the_hold_counts_for_the_claim(rig: Rig) -> None:
    grant = rig.running()
    rig.add("/b")
    park = ops.Park(task_id=grant.task_id, lease=grant.lease, hold="quota", account=ME)
    _, outcome = rig.outcomes(park, claim(interest("/b"), account=ME))
    assert isinstance(outcome, Claimed)
    assert outcome.quota


def test_the_same_poll_gets_what_it_was_given_all_the_same(rig: Rig) -> None:
    rig.add()
    rig.add("/b")
    (grant,) = asked(rig, poll_id="p").grants
    stop(rig, rig.take("/b", account=ME), START + HOUR)
    assert asked(rig, poll_id="p").grants[0].task_id == grant.task_id


def test_an_account_that_nobody_waits_for_is_forgotten_after_a_day(rig: Rig) -> None:
    rig.do(ops.SetAccount(account="a", held_until=START + HOUR))
    rig.do(ops.SetAccount(account="b", held_until=START + 60 * HOUR))
    rig.pass_(HOUR)
    rig.time.pass_(25 * HOUR)
    rig.do(ops.Prune(before=START, keys_before=START), SYSTEM)
    assert [known.account for known in accounts(rig)] == ["b"]


def test_the_feed_tells_of_both(rig: Rig) -> None:
    rig.do(ops.SetAccount(account=ME, held_until=START + HOUR, reason="why"))
    rig.do(ops.SetAccount(account=ME))
    held, resumed = read(rig, rig.store.reads.events(0, 10, EVERYWHERE))
    assert (held.type, json.decode(held.data)["until"]) == ("account.held", START + HOUR)
    assert (resumed.type, json.decode(resumed.data)) == ("account.resumed", {"account": ME, "scope": "**"})


def test_what_is_in_rank_order_stays_so(rig: Rig) -> None:
    ids = [rig.add(priority=priority) for priority in (1, 2, 1, 3)]
    order = [ids[3], ids[1], ids[0], ids[2]]
    taken = [rig.take(account=ME) for _ in ids]
    assert [grant.task_id for grant in taken] == order
    for grant in reversed(taken):
        stop(rig, grant, START + HOUR)
    rig.pass_(HOUR)
    assert [grant.task_id for grant in asked(rig, limit=9).grants] == order
    assert [rig.head(task_id).attempt for task_id in ids] == [1] * 4
    assert [rig.output(task_id, "session_id") for task_id in ids] == [f"s{task_id}" for task_id in ids]
