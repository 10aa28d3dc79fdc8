"""From events to what wakes polls: the feed tells of others' transactions, but not of the causes that were decided in them."""

import json
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from orchestrator.domain.outcomes import Drained, Freed, Resumed
from orchestrator.domain.paths import ancestors
from orchestrator.store.protocol import FeedEvent
from worker_client.contract.enums import Status

_ENDED: Final = frozenset(
    {
        "task.completed",
        "task.failed",
        "task.expired",
        "task.released",
        "task.parked",
        "task.undelivered",
        "task.cancelled",
    }
)
"""A lease ended, or (cancelled) a waiting task left the queue that may have kept others back."""
_STOOD_ASIDE: Final = frozenset({"task.updated", "task.deleted"})
"""A waiting task that may have kept others back has changed, or left the queue."""
RESUMED: Final = "account.resumed"
DRAINED: Final = "worker.drained"
_resumed = msgspec.json.Decoder(Resumed)
_drained = msgspec.json.Decoder(Drained)
FREEING: Final = _ENDED | _STOOD_ASIDE | {"directory.changed", "directory.budget_renewed"}


def may_wait(events: Iterable[FeedEvent]) -> set[int]:
    """Ids of the tasks that were waiting after the last of these events about them."""
    last = {event.task_id: event.status for event in events}
    return {task_id for task_id, status in last.items() if status == Status.WAITING}


def freed(events: Iterable[FeedEvent], limited: Collection[str], *, everywhere: bool) -> set[Freed]:
    """Where something that kept tasks back may be gone.

    `limited`: directories below which no more than some may run; `everywhere`: no more than some may run at all.
    """
    return {Freed(_reach(event, limited, everywhere=everywhere)) for event in events if event.type in FREEING}


def told(events: Iterable[FeedEvent]) -> list[Resumed | Drained]:
    """Accounts whose quota has come back, and workers that are to ask no more."""
    found: list[Resumed | Drained] = []
    for event in events:
        if event.type == RESUMED:
            found.append(_resumed.decode(event.data))
        elif event.type == DRAINED:
            found.append(_drained.decode(event.data))
    return found


def _reach(event: FeedEvent, limited: Collection[str], *, everywhere: bool) -> str | None:
    if everywhere or (event.type == "task.updated" and "path" in json.loads(event.data).get("fields", ())):
        return None  # where a moved task stood before, its event does not say
    return next((above for above in reversed(ancestors(event.path)) if above in limited), event.path)
