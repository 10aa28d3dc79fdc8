"""What people are told of an event, in words."""

from datetime import UTC, datetime

import pytest

from orchestrator.notify.words import sentence, subject
from worker_client.contract.notifications import NotifiedEvent


@pytest.mark.parametrize(
    ("type", "status", "said"),
    [
        ("task.created", "parked", "was created, and waits for an approval"),
        ("task.created", "waiting", "was created"),
        ("task.unblocked", "parked", "waits for no other task any more, and waits for an approval"),
        ("task.updated", "parked", "was changed"),
    ],
)
def test_what_waits_for_an_approval_from_the_start_says_so(type: str, status: str, said: str) -> None:
    event = NotifiedEvent(
        id="1", type=type, at=datetime.now(UTC), task_id=7, work_directory="/srv/shop", host="", status=status, data={}
    )
    assert sentence(event, None, "rule") == f"Task 7 in /srv/shop {said}."
    assert subject(event, None, "rule") == f"Task 7 {said}"
