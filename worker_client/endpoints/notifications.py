"""Notifications: who is told of what."""

from worker_client.contract import notifications
from worker_client.contract.envelope import Page
from worker_client.contract.tasks import Counted
from worker_client.endpoints.call import API, Call, Repeat, post, read

_RULES = f"{API}/notifications/rules"
_DELIVERIES = f"{API}/notifications/deliveries"


def list_notification_rules(query: notifications.ListNotificationRules) -> Call[Page[notifications.NotificationRule]]:
    """A page of notification rules, by name."""
    return read(_RULES, Page[notifications.NotificationRule], query)


def create_notification_rule(body: notifications.CreateNotificationRule) -> Call[notifications.NotificationRule]:
    """Create a notification rule."""
    return post(_RULES, notifications.NotificationRule, body)


def check_notification_rule(body: notifications.CreateNotificationRule) -> Call[None]:
    """Find out whether a notification rule would be created; nothing is saved."""
    return post(f"{_RULES}/check", None, body, Repeat.SAFE)


def get_notification_rule(rule_id: int) -> Call[notifications.NotificationRule]:
    """A notification rule."""
    return read(f"{_RULES}/{rule_id}", notifications.NotificationRule)


def update_notification_rule(rule_id: int, body: notifications.UpdateNotificationRule) -> Call[notifications.NotificationRule]:
    """Change a notification rule; what is left out stays."""
    repeat = Repeat.SAFE if body.version is None else Repeat.NEVER
    return Call(method="PUT", path=f"{_RULES}/{rule_id}", returns=notifications.NotificationRule, body=body, repeat=repeat)


def delete_notification_rule(rule_id: int) -> Call[None]:
    """Delete a notification rule, and what it was told."""
    return Call(method="DELETE", path=f"{_RULES}/{rule_id}", returns=None)


def test_notification_rule(rule_id: int) -> Call[notifications.NotificationTest]:
    """Send a test message now; what the receiver said."""
    return post(f"{_RULES}/{rule_id}/test", notifications.NotificationTest, None)


def redeliver_dead_notifications(rule_id: int) -> Call[Counted]:
    """Send again what was given up of a rule; how much that is."""
    return post(f"{_RULES}/{rule_id}/redeliver", Counted, None)


def list_notifications(query: notifications.ListNotifications) -> Call[Page[notifications.NotificationDelivery]]:
    """A page of what rules were told, newest first."""
    return read(_DELIVERIES, Page[notifications.NotificationDelivery], query)


def redeliver_notification(notification_id: int) -> Call[notifications.NotificationDelivery]:
    """Send something again that was delivered or given up."""
    return post(f"{_DELIVERIES}/{notification_id}/redeliver", notifications.NotificationDelivery, None)
