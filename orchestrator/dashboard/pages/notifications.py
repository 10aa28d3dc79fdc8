"""Notifications: who is told of what, and what became of it."""

import asyncio
from typing import Final

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.enums import NotificationStatus
from worker_client.contract.notifications import ListNotificationRules, ListNotifications, NotificationRule


async def _rules(visit: Visit) -> Facts:
    found = await visit.ask(endpoints.list_notification_rules(ListNotificationRules(limit=50, offset=visit.number("offset"))))
    return {"found": found, "targets": {rule.id: target(rule) for rule in found.items}}


def target(rule: NotificationRule) -> tuple[str, str]:
    """How a rule tells, and whom; an address of Slack is a secret."""
    if rule.email is not None:
        return "email", ", ".join(rule.email.to)
    return ("webhook", rule.webhook.url) if rule.webhook is not None else ("slack", "")


async def _deliveries(visit: Visit) -> Facts:
    status = visit.one("status")
    wanted = NotificationStatus(status) if status in set(NotificationStatus) else None
    query = ListNotifications(rule_id=visit.number("rule_id") or None, status=wanted, limit=25, offset=visit.number("past"))
    rules, found = await asyncio.gather(
        visit.ask(endpoints.list_notification_rules(ListNotificationRules(limit=1))),
        visit.ask(endpoints.list_notifications(query)),
    )
    return {"found": found, "statuses": list(NotificationStatus), "any": bool(rules.total)}


LIST: Final = Page(
    "notifications",
    panels=(
        Panel("notifications-rules", _rules, on=("notification.*",)),
        Panel("notifications-deliveries", _deliveries, on=("notification.*", "task.*", "run.*")),
    ),
)
NEW: Final = Page("notification_new", part="notifications")
