"""What comes of operations on notifications."""

from orchestrator.domain.notification_records import Notification, NotificationRule
from orchestrator.domain.outcomes import Outcome


class Ruled(Outcome):
    """The rule as it is now."""

    rule: NotificationRule


class Taken(Outcome):
    """What a server is to send, each with its rule."""

    rows: list[tuple[Notification, NotificationRule]]


class Announced(Outcome):
    """How many events were read and how many messages put down; `more`: there may be more to read."""

    read: int
    made: int
    more: bool


class Again(Outcome):
    """How many are sent again; `more`: there may be more of them."""

    count: int
    more: bool = False
