"""The tools of whoever has work created by the clock."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from orchestrator.mcp.arguments import Arguments, taken
from orchestrator.mcp.looking import brief_line
from orchestrator.mcp.tool import Answered, Tool
from orchestrator.mcp.visit import Visit
from worker_client import endpoints
from worker_client.contract.enums import Missed, Overlap, Scope
from worker_client.contract.schedules import CreateSchedule, ListSchedules, Schedule

_WORDS: Final = 60


class AddSchedule(Arguments):
    """What `schedule_add` takes: the body of the API's schedules."""

    name: str
    cron: Annotated[str, Meta(description='5 fields, 6 with seconds first, @daily, or "@every 5m"')]
    timezone: Annotated[str | UnsetType, Meta(description="e.g. Europe/Berlin")] = UNSET
    task: Annotated[
        dict[str, Any] | UnsetType, Meta(description="what task_add takes; one of task, tasks, workflow, command")
    ] = UNSET
    tasks: list[dict[str, Any]] | UnsetType = UNSET
    workflow: Annotated[dict[str, Any] | UnsetType, Meta(description="id, input")] = UNSET
    command: Annotated[dict[str, Any] | UnsetType, Meta(description="name, arguments, work_path")] = UNSET
    description: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    jitter_seconds: float | UnsetType = UNSET
    starts_at: str | UnsetType = UNSET
    ends_at: str | UnsetType = UNSET
    max_runs: int | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    missed: Missed | UnsetType = UNSET
    missed_window_seconds: float | UnsetType = UNSET
    pause_after_failures: int | UnsetType = UNSET


class ListOfSchedules(Arguments):
    """What `schedule_list` takes."""

    search: Annotated[str | None, Meta(description="words in the name")] = None
    limit: Annotated[int, Meta(ge=1, le=200, description="default 20")] = 20
    cursor: str | None = None


async def add(visit: Visit, given: AddSchedule) -> Answered:
    """Create a schedule."""
    body = msgspec.to_builtins(given)
    for task in (*([body["task"]] if "task" in body else []), *body.get("tasks", ()), body.get("command", {})):
        # The tools say work_path, which the API calls work_directory where tasks are made.
        if isinstance(path := task.pop("work_path", task.get("work_directory")), str):
            task["work_directory"] = visit.path(path)
    made = await visit.client.send(endpoints.create_schedule(taken(CreateSchedule, body)))
    return {"id": made.id, "next_fire_at": made.next_fire_at}


async def listed(visit: Visit, given: ListOfSchedules) -> Answered:
    """A line per schedule, by name."""
    query = ListSchedules(q=given.search, limit=given.limit, cursor=given.cursor)
    page = await visit.client.send(endpoints.list_schedules(query))
    told: Answered = {"schedules": [line(one) for one in page.items], "total": page.total}
    if page.next_cursor:
        told["next_cursor"] = page.next_cursor
    return told


def line(one: Schedule) -> str:
    """One schedule in one line."""
    coming = "" if one.next_fire_at is None else f" next {one.next_fire_at:%Y-%m-%dT%H:%M:%SZ}"
    return f"{one.id} {one.state} {one.name}: {one.cron} {one.timezone}{coming} {_work(one)}".rstrip()


def _work(one: Schedule) -> str:
    if one.workflow is not None:
        return f"workflow {one.workflow.get('id')}"
    if one.tasks is not None:
        return f"{len(one.tasks)} tasks"
    if one.command is not None:
        return f"command {one.command.get('name')}"
    task = one.task or {}
    return brief_line(str(task.get("title") or task.get("prompt") or task.get("command") or task.get("kind") or ""), _WORDS)


TOOLS: Final = (
    Tool(
        name="schedule_add",
        description="Have work created again and again, at times.",
        takes=AddSchedule,
        scope=Scope.ADMIN,
        run=add,
    ),
    Tool(
        name="schedule_list",
        description="Schedules, a line each: id, state, name, times, next time (UTC), work.",
        takes=ListOfSchedules,
        scope=Scope.ADMIN,
        run=listed,
        reads=True,
    ),
)
