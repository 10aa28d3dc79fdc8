"""Schedules: when they fire next, what came of it, and making new ones."""

import asyncio
from typing import Final

from msgspec import Struct

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.commands import ListCommands
from worker_client.contract.directories import ListDirectories
from worker_client.contract.enums import FireOutcome, ScheduleState
from worker_client.contract.schedules import ListFires, ListSchedules, PreviewCount, PreviewSchedule, Schedule
from worker_client.errors import OrchestratorError

_EVENTS: Final = ("schedule.*", "system.*")


async def _list(visit: Visit) -> Facts:
    state = visit.one("state")
    query = ListSchedules(
        q=visit.one("q")[:500] or None,
        state=ScheduleState(state) if state in set(ScheduleState) else None,
        limit=50,
        offset=visit.number("offset"),
    )
    found, info = await asyncio.gather(visit.ask(endpoints.list_schedules(query)), visit.ask(endpoints.system_info()))
    return {"found": found, "scheduler": info.scheduler, "work": {one.id: work(one) for one in found.items}}


class Work(Struct, frozen=True):
    """What a schedule creates, in the few words that there is room for; `more`: tasks beside the first."""

    kind: str
    said: str
    path: str | None = None
    more: int = 0


def work(schedule: Schedule) -> Work:
    """What a schedule creates."""
    if schedule.command is not None:
        given = schedule.command.get("arguments") or ""
        said = " ".join(f"{name}={value}" for name, value in given.items()) if isinstance(given, dict) else str(given)
        return Work("command", f"/{schedule.command['name']} {said}".rstrip(), schedule.command.get("work_directory"))
    if schedule.workflow is not None:
        return Work("workflow", str(schedule.workflow["id"]))
    tasks = [schedule.task] if schedule.task is not None else schedule.tasks or [{}]
    first = tasks[0]
    said = first.get("title") or first.get("prompt") or first.get("command") or (first.get("spec") or {}).get("command") or ""
    return Work("task", str(said), first.get("work_directory"), len(tasks) - 1)


async def _subject(visit: Visit) -> Facts:
    return {"schedule": await visit.ask(endpoints.get_schedule(_id(visit)))}


def _id(visit: Visit) -> int:
    text = visit.path["schedule_id"]
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


async def _facts(visit: Visit) -> Facts:
    schedule = await visit.ask(endpoints.get_schedule(_id(visit)))
    return {"schedule": schedule, "work": work(schedule)}


async def _next(visit: Visit) -> Facts:
    return {"preview": await visit.ask(endpoints.preview_schedule(_id(visit), PreviewCount(count=10)))}


async def _fires(visit: Visit) -> Facts:
    outcome = visit.one("outcome")
    wanted = FireOutcome(outcome) if outcome in set(FireOutcome) else None
    query = ListFires(outcome=wanted, limit=25, offset=visit.number("offset"))
    return {"found": await visit.ask(endpoints.list_fires(_id(visit), query)), "outcomes": list(FireOutcome)}


async def _new(visit: Visit) -> Facts:
    """What the form offers, and when it would fire, once an expression was given."""
    commands, directories = await asyncio.gather(
        visit.ask(endpoints.list_commands(ListCommands(limit=200))),
        visit.ask(endpoints.list_directories(ListDirectories(limit=100))),
    )
    return {"commands": commands.items, "directories": [one.work_directory for one in directories.items], **await _preview(visit)}


async def _preview(visit: Visit) -> Facts:
    cron = visit.one("cron").strip()
    if not cron:
        return {"preview": None, "refused": None}
    query = PreviewSchedule(cron=cron[:255], timezone=visit.one("timezone").strip() or None, name=visit.one("name"))
    try:
        return {"preview": await visit.ask(endpoints.preview(query)), "refused": None}
    except OrchestratorError as refused:
        return {"preview": None, "refused": refused}


LIST: Final = Page("schedules", panels=(Panel("schedules-list", _list, on=_EVENTS),))
ONE: Final = Page(
    "schedule",
    subject=_subject,
    part="schedules",
    panels=(
        Panel("schedule-facts", _facts, on=_EVENTS),
        Panel("schedule-next", _next, on=_EVENTS),
        Panel("schedule-fires", _fires, on=_EVENTS),
    ),
)
NEW: Final = Page("schedule_new", subject=_new, part="schedules")
