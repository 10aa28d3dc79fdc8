"""What is sent and what comes of it, whichever way it goes."""

from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from orchestrator.domain.announcing import Payload, links
from orchestrator.domain.moments import moment
from orchestrator.domain.notification_records import Definition, Notification, NotificationRule
from orchestrator.domain.task import Millis
from orchestrator.notify.words import sentence
from worker_client.contract.fields import JsonObject
from worker_client.contract.notifications import NotificationData, NotificationMessage, NotifiedEvent, NotifiedRule

_payload: Final = msgspec.json.Decoder(Payload).decode
_object: Final = msgspec.json.Decoder(JsonObject).decode


class Letter(Struct, frozen=True, kw_only=True):
    """A message of a rule, and how it goes out; `id` is the same at every try."""

    id: str
    wanted: Definition
    message: NotificationMessage


class Sent(Struct, frozen=True, kw_only=True):
    """What came of a try. `status`: of the receiver, `answer`: how its answer begins; `gone`: it wants nothing more.

    `after_ms`: it asks to be left alone for so long.
    """

    delivered: bool
    status: int | None = None
    reason: str | None = None
    answer: str | None = None
    after_ms: Millis | None = None
    gone: bool = False


def letter(row: Notification, rule: NotificationRule, epoch: str, public_url: str) -> Letter:
    """What a row says, to be sent as its rule says now."""
    payload = _payload(row.payload)
    event = NotifiedEvent(
        id=None if row.event_id is None else f"{epoch}-{row.event_id}",
        type=row.type,
        at=moment(row.at),
        task_id=row.task_id or None,
        work_directory=payload.path,
        host=payload.host,
        status=payload.status,
        data=_object(payload.data),
    )
    task = payload.task
    data = NotificationData(
        rule=NotifiedRule(id=rule.id, name=rule.name),
        event=event,
        task=task,
        summary=sentence(event, task, rule.name),
        links=links(public_url, task_id=row.task_id, run_id=payload.run_id),
    )
    return Letter(
        id=row.message_id,
        wanted=rule.wanted,
        message=NotificationMessage(type=row.type, timestamp=moment(row.at), data=data),
    )


def sample(rule: NotificationRule, now: Millis, nonce: str, public_url: str) -> Letter:
    """What is sent as a test."""
    event = NotifiedEvent(
        id=None,
        type="notification.test",
        at=moment(now),
        task_id=None,
        work_directory="",
        host="",
        status=None,
        data={"test": True},
    )
    data = NotificationData(
        rule=NotifiedRule(id=rule.id, name=rule.name),
        event=event,
        task=None,
        summary=sentence(event, None, rule.name),
        links=links(public_url),
    )
    message = NotificationMessage(type=event.type, timestamp=event.at, data=data)
    return Letter(id=f"msg_test_{nonce}", wanted=rule.wanted, message=message)


@lru_cache(1)
def encoder() -> msgspec.json.Encoder:
    """Writes bodies."""
    return msgspec.json.Encoder()
