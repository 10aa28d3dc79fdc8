"""Tasks that ask for secrets: who may create them, and who gets them."""

import pytest
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import ALL_SCOPES, Principal
from tests.rig import Rig, claim, interest
from worker_client.errors import Forbidden, ValidationFailed

BOTH = Principal("both", ALL_SCOPES, secrets=frozenset({"TOKEN", "PASSWORD"}))
ONE = Principal("one", ALL_SCOPES, secrets=frozenset({"TOKEN"}))
NONE = Principal("none", ALL_SCOPES)


@pytest.fixture
def rig(rig: Rig) -> Rig:
    """The server has two secrets."""
    rig.rules = replace(rig.rules, secrets=frozenset({"TOKEN", "PASSWORD"}))
    return rig


def test_only_who_may_use_a_secret_asks_for_it(rig: Rig) -> None:
    rig.add(secrets="PASSWORD TOKEN", by=BOTH)
    assert rig.head(1).secrets == "PASSWORD TOKEN"
    before = rig.dump()
    with pytest.raises(Forbidden, match="secret PASSWORD") as refusal:
        rig.add(secrets="PASSWORD TOKEN", by=ONE)
    assert refusal.value.details["field"] == "prompt"
    # What there is only those learn who may use it.
    with pytest.raises(Forbidden, match="secret WHAT"):
        rig.add(secrets="WHAT", by=NONE)
    with pytest.raises(ValidationFailed, match="no secret WHAT") as unknown:
        rig.add(secrets="TOKEN WHAT")
    assert (unknown.value.details["field"], unknown.value.details["value"]) == ("prompt", "WHAT")
    assert rig.dump() == before


def test_a_change_may_not_ask_for_more(rig: Rig) -> None:
    rig.add(secrets="TOKEN")
    before = rig.dump()
    with pytest.raises(Forbidden, match="secret PASSWORD"):
        rig.do(ops.Update(task_id=1, secrets="PASSWORD"), ONE)
    with pytest.raises(ValidationFailed, match="no secret WHAT"):
        rig.do(ops.Update(task_id=1, secrets="WHAT"))
    for moved in (ops.Update(task_id=1, path="/b"), ops.Update(task_id=1, host="m")):
        with pytest.raises(Forbidden, match="secret TOKEN"):
            rig.do(moved, NONE)
    assert rig.dump() == before
    rig.do(ops.Update(task_id=1, path="/b", host="m"), ONE)
    rig.do(ops.Update(task_id=1, title="other"), NONE)
    rig.do(ops.Update(task_id=1, secrets="", inputs={"prompt": "without"}), NONE)
    assert rig.head(1).secrets == ""
    assert rig.events[-1].data == '{"fields":["prompt"]}'


def test_a_task_goes_to_whoever_may_use_all_of_its_secrets(rig: Rig) -> None:
    rig.add(secrets="TOKEN PASSWORD")
    rig.add(secrets="TOKEN")
    rig.add()
    assert [grant.task_id for grant in rig.claim(by=NONE, limit=9)] == [3]
    rig.add()
    assert [grant.task_id for grant in rig.claim(by=ONE, limit=9)] == [2, 4]
    outcome = rig.do(claim(interest(by=ONE)), ONE)
    assert outcome.held_at is None  # type: ignore[attr-defined]  # nothing can change for it while it waits
    assert [grant.task_id for grant in rig.claim(by=BOTH, limit=9)] == [1]


def test_a_task_waits_for_a_secret_that_is_no_longer_there(rig: Rig) -> None:
    rig.add(secrets="TOKEN")
    known = rig.rules
    rig.rules = replace(known, secrets=frozenset())
    outcome = rig.do(claim())
    assert (outcome.grants, outcome.held_at) == ([], "/a")  # type: ignore[attr-defined]
    rig.rules = known
    assert rig.take().task_id == 1


def test_the_same_poll_by_who_may_use_less_gets_no_secret(rig: Rig) -> None:
    rig.add(secrets="TOKEN")
    rig.add()
    poll = {"poll_id": "p", "limit": 1}
    assert [grant.task_id for grant in rig.claim(by=ONE, **poll)] == [1]
    less = replace(ONE, secrets=frozenset())
    assert [grant.task_id for grant in rig.claim(by=less, **poll)] == [2]
    assert [grant.task_id for grant in rig.claim(by=less, **poll)] == [2]
