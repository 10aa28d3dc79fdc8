"""Schedules and their times, as people see them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from rich.table import Table
from rich.text import Text

from orchestrator.cli import output
from worker_client.contract.envelope import Page
from worker_client.contract.schedules import Fire, Preview, Schedule

STYLES = {"active": "green", "paused": "magenta", "finished": "bright_black"}
OUTCOMES = {"fired": "green", "queued": "cyan", "skipped": "bright_black", "failed": "bold red"}
LONG = 60


def when(at: datetime | None, zone: str) -> str:
    """A time of a schedule: in this machine's zone, and in its own where the clocks of the two differ then."""
    if at is None:
        return ""
    here, there = at.astimezone(), in_zone(at, zone)
    told = f"{here:%a %Y-%m-%d %H:%M:%S} {here:%Z}"
    if there is None or there.utcoffset() == here.utcoffset():
        return told
    day = "%H:%M" if there.date() == here.date() else "%a %H:%M"
    return f"{told} ({there.strftime(day)} in {zone})"


def in_zone(at: datetime, zone: str) -> datetime | None:
    """A time on the clocks of a zone; None where this machine does not know it."""
    try:
        return at.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        return None


def schedules(listed: list[Schedule], workflows: Mapping[str, str]) -> Table:
    """Schedules, a line each; `workflows`: their names, by id."""
    rows = (
        (
            str(one.id),
            one.name,
            Text(str(one.state), style=STYLES.get(one.state, "")),
            one.cron,
            one.timezone,
            when(one.next_fire_at, one.timezone),
            output.moment(one.last_fire_at),
            str(one.runs),
            work(one, workflows),
        )
        for one in listed
    )
    return output.table("ID", "NAME", "STATE", "CRON", "ZONE", "NEXT", "LAST", "RUNS", "CREATES", rows=rows, right=("ID", "RUNS"))


def line(one: Schedule) -> Text:
    """A schedule in a line."""
    words = Text.assemble(f"schedule {one.id} ", (one.name, "bold"), " is ", (str(one.state), STYLES.get(one.state, "")))
    if one.paused_reason:
        words.append(f" ({one.paused_reason})")
    if one.next_fire_at is not None:
        words.append(f", next {when(one.next_fire_at, one.timezone)}")
    return words


def work(one: Schedule, workflows: Mapping[str, str]) -> str:
    """What a schedule creates, in a few words."""
    if one.workflow:
        known = str(one.workflow.get("id"))
        return f"run of {workflows.get(known, known)}"
    if one.tasks:
        return f"{len(one.tasks)} tasks"
    called = one.command or one.task or {}
    command = called.get("name") if one.command else called.get("command")
    words = f"command {command}" if command else called.get("title") or called.get("prompt") or _spec(called)
    shown = " ".join(str(words).split())
    return shown if len(shown) <= LONG else shown[: LONG - 1] + "…"


def _spec(task: dict[str, Any]) -> str:
    spec = task.get("spec") or {}
    return str(spec.get("command") or spec.get("url") or spec.get("name") or task.get("kind", ""))


def facts(one: Schedule) -> Table:
    """All that is known of a schedule."""
    return output.facts(_fields(one))


def _fields(one: Schedule) -> Iterator[tuple[str, Text | str]]:
    def dense(value: Any) -> str:
        return msgspec.json.encode(value).decode() if value else ""

    yield "schedule", f"{one.id} {one.name}"
    yield "state", Text(str(one.state), style=STYLES.get(one.state, "")).append(f"  {one.paused_reason or ''}".rstrip(), "dim")
    yield "description", one.description or ""
    yield "cron", f"{one.cron}  {one.words}"
    yield "zone", one.timezone
    yield "next", when(one.next_fire_at, one.timezone)
    yield "last", when(one.last_fire_at, one.timezone)
    yield "runs", str(one.runs) + (f" of {one.max_runs}" if one.max_runs else "")
    yield (
        "failures in a row",
        str(one.failures or "")
        + (f", paused at {one.pause_after_failures}" if one.failures and one.pause_after_failures else ""),
    )
    yield "starts", when(one.starts_at, one.timezone)
    yield "ends", when(one.ends_at, one.timezone)
    yield "jitter", output.duration(one.jitter_seconds) if one.jitter_seconds else ""
    yield "overlap", str(one.overlap)
    yield "missed", f"{one.missed}, within {output.duration(one.missed_window_seconds)}"
    yield "task", dense(one.task)
    yield "tasks", dense(one.tasks)
    yield "workflow", dense(one.workflow)
    yield "command", dense(one.command)
    yield "of the triggers of", one.workflow_id or ""
    yield "kept by the files of", one.managed_by or ""
    yield "created", f"{output.moment(one.created_at)} by {one.created_by or output.SOMEBODY}"


def preview(coming: Preview) -> Iterator[str]:
    """An expression in words, and the times to come."""
    yield f"{coming.description} ({coming.timezone})"
    for one in coming.fires:
        yield f"  {when(one.at, coming.timezone)}"
    if not coming.fires:
        yield "  no times to come"


def fires(listed: list[Fire], zone: str) -> Table:
    """What became of the times of a schedule, a line each."""
    rows = (
        (
            when(one.due_at, zone),
            str(one.kind),
            Text(str(one.outcome), style=OUTCOMES.get(one.outcome, "")),
            str(one.times),
            created(one),
            one.reason or "",
        )
        for one in listed
    )
    return output.table("DUE", "KIND", "OUTCOME", "TIMES", "CREATED", "WHY", rows=rows, right=("TIMES",))


def fired(name: str, one: Fire) -> Text:
    """What became of a schedule that was run by hand."""
    words = Text.assemble(f"schedule {name} ", (str(one.outcome), OUTCOMES.get(one.outcome, "")))
    told = created(one) or one.reason
    return words.append(f": {told}") if told else words


def created(one: Fire) -> str:
    """The work that a fire created."""
    if one.run_id is not None:
        return f"run {one.run_id}"
    if not one.task_ids:
        return ""
    return f"task{'s' if len(one.task_ids) > 1 else ''} " + ", ".join(map(str, one.task_ids))


def rest(page: Page[Any]) -> list[str]:
    """What to say of a list that is longer than what is shown."""
    more = "" if page.total_exact else "more than "
    return [f"the first {len(page.items)} of {more}{page.total}; --limit shows more"] if page.next_cursor else []
