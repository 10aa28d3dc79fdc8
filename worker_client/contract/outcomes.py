"""The answers of the bulk report calls: one outcome per item, in order."""

from msgspec import Struct

from worker_client.contract.envelope import ErrorBody
from worker_client.contract.tasks import HeartbeatAnswer, Task


class TaskOutcome(Struct, kw_only=True, omit_defaults=True):
    """The task as it is now, or why its item was refused."""

    task: Task | None = None
    error: ErrorBody | None = None


class HeartbeatOutcome(Struct, kw_only=True, omit_defaults=True):
    """The directive, or why the item was refused."""

    task: HeartbeatAnswer | None = None
    error: ErrorBody | None = None


class TaskOutcomes(Struct, kw_only=True):
    """Outcomes in the order of the items."""

    items: list[TaskOutcome]


class HeartbeatOutcomes(Struct, kw_only=True):
    """Outcomes in the order of the items."""

    items: list[HeartbeatOutcome]
