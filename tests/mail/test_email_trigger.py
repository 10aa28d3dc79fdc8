"""Which mails an email trigger wants."""

from typing import Any

import pytest

from orchestrator.domain.principal import OPEN, Principal, path_scope
from orchestrator.doors.sealing import Sealing
from orchestrator.mail.reading import envelope
from orchestrator.triggers import checked
from orchestrator.triggers.email import Email
from tests.post import mail
from worker_client.errors import Forbidden, ValidationFailed


def refuses(raw: bytes, **settings: Any) -> str | None:
    (kept,) = checked([{"type": "email", **settings}], OPEN, Sealing())
    return Email().read(kept).refuses(envelope(raw))


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, True),
        ({"from": "ann@example.com"}, True),
        ({"from": "ANN@Example.com"}, True),
        ({"from": "@example.com"}, True),
        ({"from": "@ample.com"}, False),
        ({"from": "*@example.*"}, True),
        ({"from": "nn@example.com"}, False),
        ({"from": "example.com*"}, False),
        ({"from": ["bob@example.com", "ann@*"]}, True),
        ({"from": []}, False),
        ({"to": "agent@example.com"}, True),
        ({"to": "agent+*@example.com"}, False),
        ({"subject": "[ops]"}, True),
        ({"subject": "DEPLOY"}, True),
        ({"subject": "[ops]*"}, True),
        ({"subject": "[ops]?deploy it"}, True),
        ({"subject": "deploy*"}, False),
        ({"subject": ["x", "it"]}, True),
        ({"from": "@example.com", "subject": "other"}, False),
    ],
)
def test_filters(settings: dict[str, Any], wanted: bool) -> None:
    assert (refuses(mail("[ops] deploy it"), **settings) is None) == wanted


def test_a_mail_whose_sender_is_in_doubt_fits_no_sender() -> None:
    forged = mail(sender="boss@example.com <evil@example.org>")
    assert refuses(forged, **{"from": ["boss@example.com", "evil@example.org", "*"]}) == "it is in doubt who sent it"
    assert refuses(forged) is None


def test_a_pattern_that_is_made_to_be_slow_is_not() -> None:
    assert refuses(mail("a" * 900), subject="*a" * 140 + "*b") == "its subject does not fit `subject`"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"from": "example.com"}, "triggers[0].from"),
        ({"to": ["a@b", "everybody"]}, "triggers[0].to"),
        ({"from": ""}, "triggers[0].from"),
        ({"folder": "a\r\nb"}, "triggers[0].folder"),
        ({"folder": ""}, "triggers[0].folder"),
        ({"look_back_days": -1}, "triggers[0].look_back_days"),
        ({"sender": "x"}, "triggers[0].sender"),
    ],
)
def test_what_can_fit_nothing_is_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        checked([{"type": "email", **settings}], OPEN, Sealing())
    assert refusal.value.details["field"] == field


def test_who_may_not_see_all_of_the_server_sees_no_mail() -> None:
    limited = Principal(id="k", paths=path_scope(["/srv/a/**"]))
    with pytest.raises(Forbidden, match="the mailbox is the whole server's"):
        checked([{"type": "email"}], limited, Sealing())
