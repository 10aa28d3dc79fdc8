"""What can be asked about notifications; see orchestrator/domain/operations.py."""

from collections.abc import Mapping

from msgspec import UNSET, Struct, UnsetType

from orchestrator.domain.operation import Operation, Phase
from orchestrator.domain.task import Millis


class AddRule(Operation, frozen=True, kw_only=True):
    """A new rule, which hears of what happens from now on; `definition`: JSON of a checked Definition, its secrets sealed."""

    phase = Phase.CHANGE
    name: str
    enabled: bool
    definition: str
    managed_by: str | None = None


class OnRule(Operation, frozen=True, kw_only=True):
    """An operation on one rule."""

    phase = Phase.CHANGE
    rule_id: int


class ChangeRule(OnRule, frozen=True, kw_only=True):
    """Change what is not left out.

    `base`: the version that `definition` was made from; `version`: the one that the client knows.
    """

    base: int
    version: int | None = None
    name: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    definition: str


class DeleteRule(OnRule, frozen=True, kw_only=True):
    """Remove a rule, and what it was told."""


class Announce(Operation, frozen=True, kw_only=True):
    """Read up to `limit` events where the last one ended, and put down what rules are to be told of them.

    `gives_up`: nobody is told of them, as that cannot be done.
    """

    phase = Phase.FOLLOW
    limit: int = 1_000
    gives_up: bool = False

    @property
    def weight(self) -> int:
        """One row an event."""
        return self.limit


class Waited(Struct, frozen=True):
    """A task that has waited for longer than a rule says, since a time; `lease_no`, `ready_at`: as it was then."""

    rule_id: int
    task_id: int
    since: Millis
    lease_no: int
    ready_at: Millis


class AnnounceWaiting(Operation, frozen=True, kw_only=True):
    """Put down that tasks have waited for long, for each time of waiting once."""

    phase = Phase.FOLLOW
    found: tuple[Waited, ...]

    @property
    def weight(self) -> int:
        """One row a task."""
        return len(self.found)


class TakeNotifications(Operation, frozen=True, kw_only=True):
    """Have a server send what is due, for so long alone, up to `room` of each rule."""

    phase = Phase.CHANGE
    holder: str
    hold_ms: Millis
    room: Mapping[int, int]

    @property
    def weight(self) -> int:
        """One row each."""
        return sum(self.room.values())


class SettleNotification(Operation, frozen=True, kw_only=True):
    """What came of a try: it was delivered, or not, and then why; `gone`: the receiver wants nothing more of this rule.

    `answered`: its status; `after_ms`: it asks to be left alone for so long.
    """

    phase = Phase.CHANGE
    notification_id: int
    holder: str
    delivered: bool
    answered: int | None = None
    reason: str | None = None
    after_ms: Millis | None = None
    gone: bool = False


class GiveBackNotifications(Operation, frozen=True, kw_only=True):
    """What a server sends, or what all others do (`others`: there are none of them alive), is due again at once."""

    phase = Phase.CHANGE
    holder: str
    others: bool = False


class Redeliver(Operation, frozen=True, kw_only=True):
    """Send again what was delivered or given up."""

    phase = Phase.CHANGE
    notification_id: int


class RedeliverDead(OnRule, frozen=True, kw_only=True):
    """Send again what a rule was told and what was given up, up to `limit`, the oldest first."""

    limit: int = 500

    @property
    def weight(self) -> int:
        """One row each."""
        return self.limit
