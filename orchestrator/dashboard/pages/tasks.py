"""All tasks: found by words and filters that stand in the address, and changed together."""

from typing import Final

from orchestrator.dashboard.asked import FILTERS, filters
from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.enums import FINAL, Priority, Status
from worker_client.contract.tasks import ListTasks

_LIMIT: Final = 50
_EXCERPT: Final = 300
_MORE: Final = ("agent", "worker_id", "schedule_id", "workflow_id", "created_after", "created_before")


def _asked(visit: Visit) -> dict[str, list[str]]:
    """The filters of the address, as they stand there."""
    return {name: visit.many(name) for name in FILTERS if visit.many(name)}


async def _subject(visit: Visit) -> Facts:
    asked = _asked(visit)
    return {"asked": asked, "open": any(name in asked for name in _MORE), "priorities": list(Priority)}


async def _tabs(visit: Visit) -> Facts:
    """How many there are by status, unless other filters are set: those of each status would have to be counted."""
    asked = _asked(visit)
    facts: Facts = {"asked": asked, "statuses": list(Status), "numbers": None}
    if asked.keys() <= {"status", "needs_person"}:
        facts["numbers"] = await visit.ask(endpoints.statistics_now())
    return facts


async def _list(visit: Visit) -> Facts:
    wanted = ListTasks(**filters(visit.many), limit=_LIMIT, offset=visit.number("offset"), excerpt=_EXCERPT)
    found = await visit.ask(endpoints.list_tasks(wanted))
    asked = _asked(visit)
    statuses = set(asked.get("status", ["parked"] if "needs_person" in asked else []))
    return {
        "found": found,
        "asked": asked,
        "priorities": list(Priority),
        "may_retry": bool(statuses) and statuses <= FINAL,
        "may_cancel": bool(statuses) and not statuses & FINAL,
        "address": visit.link("/api/v1/tasks", **_asked_of_api(visit)),
    }


def _asked_of_api(visit: Visit) -> dict[str, object]:
    """The same list, for programs."""
    asked = filters(visit.many)
    return {name: value.isoformat() if name.startswith("created") else _plain(value) for name, value in asked.items()}


def _plain(value: object) -> object:
    return "true" if value is True else value


LIST: Final = Page(
    "tasks",
    subject=_subject,
    panels=(Panel("tasks-tabs", _tabs, on=("task.*",)), Panel("tasks-list", _list, on=("task.*",))),
)
