"""The lifecycle table itself: complete, and without a dead end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.lifecycle import DERIVED, LEASED, TRANSITIONS, Verb, derive, permit
from worker_client.contract.enums import FINAL, Status
from worker_client.errors import Conflict

OF_TIME = {Verb.EXPIRE, Verb.PROMOTE}
OF_PEOPLE = {Verb.ANSWER, Verb.APPROVE, Verb.REJECT, Verb.CANCEL, Verb.RETRY, Verb.EXECUTE}


def exits(status: Status, verbs: set[Verb]) -> set[Status]:
    found = {target for verb in verbs for target in TRANSITIONS[verb].get(status, frozenset())}
    return found - {status}


def test_every_verb_has_its_row() -> None:
    assert set(TRANSITIONS) == set(Verb)
    assert all(TRANSITIONS.values())


def test_every_status_is_reached_and_left() -> None:
    reached = {target for row in TRANSITIONS.values() for targets in row.values() for target in targets}
    # A task begins as one of these.
    assert reached | DERIVED == set(Status)
    for status in set(Status) - FINAL:
        assert exits(status, set(Verb) - {Verb.DELETE, Verb.CANCEL}), f"{status} leads nowhere but to its cancellation"


def test_what_waits_for_time_leaves_by_time() -> None:
    assert exits(Status.RUNNING, OF_TIME)
    assert exits(Status.SCHEDULED, OF_TIME)
    assert exits(Status.PARKED, OF_TIME)
    assert exits(Status.PARKED, OF_PEOPLE)


def test_a_final_task_moves_only_by_retry_or_revival() -> None:
    for verb, row in TRANSITIONS.items():
        if FINAL & row.keys():
            assert verb in {Verb.RETRY, Verb.REVIVE, Verb.DELETE}


def test_only_a_claim_makes_a_task_run_and_only_running_takes_lease_verbs() -> None:
    for verb, row in TRANSITIONS.items():
        for status, targets in row.items():
            assert Status.RUNNING not in targets or status is Status.RUNNING or verb is Verb.CLAIM
        if verb in LEASED:
            assert set(row) == {Status.RUNNING}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("verb", Verb)
def test_permit_follows_the_table(verb: Verb, status: Status) -> None:
    if status in TRANSITIONS[verb]:
        permit(verb, status, 7)
        return
    with pytest.raises(Conflict, match=f"task 7 is {status}") as refusal:
        permit(verb, status, 7)
    assert refusal.value.details == {"task_id": 7, "status": str(status)}


@given(st.booleans(), st.booleans(), st.none() | st.integers(0, 20), st.integers(0, 20))
def test_the_derived_status_goes_by_parents_then_hold_then_time(
    open_parents: bool, held: bool, due_at: int | None, now: int
) -> None:
    status = derive(open_parents=open_parents, held=held, due_at=due_at, now=now)
    assert status in DERIVED
    assert (status is Status.BLOCKED) == open_parents
    if not open_parents:
        assert (status is Status.PARKED) == held
        assert held or (status is Status.SCHEDULED) == (due_at is not None and due_at > now)
