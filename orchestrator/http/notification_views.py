"""Notifications as the contract shows them, without what is secret."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.notification_records import Notification, NotificationRule
from orchestrator.doors.sealing import shown
from worker_client.contract import notifications as contract
from worker_client.contract.enums import NotificationStatus, Status

if TYPE_CHECKING:
    from orchestrator.notify.message import Sent


def rule(found: NotificationRule) -> contract.NotificationRule:
    """A rule."""
    wanted = found.wanted
    webhook, slack = wanted.webhook, wanted.slack
    return contract.NotificationRule(
        id=found.id,
        version=found.version,
        name=found.name,
        enabled=found.enabled,
        disabled_reason=found.disabled_reason,
        events=list(wanted.events),
        status=[Status(status) for status in wanted.status],
        tags=list(wanted.tags),
        work_path=list(wanted.work_path),
        recursive=wanted.recursive,
        priority=list(wanted.priority),
        failed_times=wanted.failed_times,
        waiting_seconds=wanted.waiting_seconds,
        webhook=None if webhook is None else replace(webhook, secret=shown(webhook.secret)),
        email=wanted.email,
        slack=None if slack is None else replace(slack, url=shown(slack.url)),
        include_prompt=wanted.include_prompt,
        tries=wanted.tries,
        created_at=moment(found.created_at),
        updated_at=moment(found.updated_at),
        created_by=found.owner,
        managed_by=found.managed_by,
    )


def delivery(row: Notification, of: NotificationRule | None) -> contract.NotificationDelivery:
    """What a rule was told; `of` None: the rule is gone by now."""
    return contract.NotificationDelivery(
        id=row.id,
        rule_id=row.rule_id,
        rule="" if of is None else of.name,
        message_id=row.message_id,
        type=row.type,
        task_id=row.task_id or None,
        at=moment(row.at),
        status=NotificationStatus(row.status),
        tries=row.tries,
        next_try_at=None if row.holder is not None else perhaps(row.due_at),
        last_try_at=perhaps(row.tried_at),
        reason=row.reason,
        answered=row.answered,
        created_at=moment(row.created_at),
        finished_at=perhaps(row.finished_at),
    )


def tested(sent: "Sent", seconds: float) -> contract.NotificationTest:
    """What came of a test."""
    return contract.NotificationTest(
        delivered=sent.delivered, status=sent.status, reason=sent.reason, answer=sent.answer, seconds=round(seconds, 3)
    )
