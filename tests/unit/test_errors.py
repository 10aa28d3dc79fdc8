"""The exception tree: every error can be raised, sent and rebuilt."""

import pytest

from worker_client.errors import ERRORS, LeaseLost, OrchestratorError, RateLimited, ValidationFailed, error_from


@pytest.mark.parametrize("kind", ERRORS.values(), ids=lambda kind: kind.code)
def test_an_error_survives_the_wire(kind: type[OrchestratorError]) -> None:
    error = kind("what was wrong", task_id=7)
    rebuilt = error_from(error.body)
    assert type(rebuilt) is kind
    assert (rebuilt.message, rebuilt.details, str(rebuilt)) == (error.message, error.details, "what was wrong")
    assert rebuilt.details["task_id"] == 7


def test_a_validation_error_carries_field_and_message_in_its_details() -> None:
    assert ValidationFailed("not so", field="tags").details == {"field": "tags", "message": "not so"}


def test_a_lost_lease_says_why() -> None:
    assert LeaseLost("gone", task_status="waiting", reason="expired").reason == "expired"


def test_a_retry_after_header_counts() -> None:
    rebuilt = error_from(RateLimited("slowly").body, retry_after=3)
    assert isinstance(rebuilt, RateLimited)
    assert rebuilt.retry_after == 3
