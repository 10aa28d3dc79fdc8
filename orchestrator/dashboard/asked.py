"""Which tasks an address or a form asks for: the filters of the page Tasks, in the words of the API."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from worker_client.contract.tasks import TaskFilter
from worker_client.errors import ValidationFailed

FILTERS: Final = (
    "status", "priority", "kind", "tag", "work_path", "recursive", "agent", "worker_id", "schedule_id", "workflow_id", "run_id",
    "q", "created_after", "created_before", "needs_person",
)  # fmt: skip
_SEVERAL: Final = frozenset({"status", "priority", "kind", "tag", "work_path"})
_FLAGS: Final = frozenset({"recursive", "needs_person"})
_TIMES: Final = frozenset({"created_after", "created_before"})


def filters(many: Callable[[str], list[str]]) -> dict[str, Any]:
    """The filters that are set, as parameters of a TaskFilter, which the API checks. Raises ValidationFailed for times."""
    found: dict[str, Any] = {}
    for name in FILTERS:
        values = [value.strip() for value in many(name) if value.strip()]
        if not values or (name in _FLAGS and values[0] != "true"):
            continue
        if name in _FLAGS:
            found[name] = True
        elif name in _TIMES:
            found[name] = _time(values[0], name)
        else:
            found[name] = values if name in _SEVERAL else values[0]
    return found


def filtered(many: Callable[[str], list[str]]) -> TaskFilter:
    """The same as the contract's filter."""
    return TaskFilter(**filters(many))


def _time(text: str, name: str) -> datetime:
    """A day, or a moment with its offset; a day is meant as a whole, UTC."""
    try:
        if len(text) == len("2030-01-31"):
            day = date.fromisoformat(text) + timedelta(days=name == "created_before")
            return datetime.combine(day, time(), UTC)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        at = None
    if at is None or at.tzinfo is None:
        raise ValidationFailed(
            f"`{name}` is {text[:100]!r}: expected a day such as 2030-01-31, or a time with its offset", field=name
        )
    return at
