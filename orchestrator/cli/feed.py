"""The feed in words: one line per event."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from orchestrator.cli import output
from worker_client.contract.events import Event

STYLES: Mapping[str, str] = {
    "created": "cyan",
    "claimed": "yellow",
    "completed": "green",
    "failed": "red",
    "expired": "red",
    "cancelled": "bright_black",
    "cancel_requested": "bright_black",
}


KIND_WIDTH = len("completed")


def line(event: Event, title: str = "") -> Text:
    """When, which task, what happened, and what follows from it; a title is padded by whoever wants columns."""
    kind = event.type.removeprefix("task.")
    style = "bold red" if event.status == "failed" else STYLES.get(kind, "blue")
    words = consequence(kind, event) if event.task_id else _elsewhere(event)
    what = kind.replace("_", " ").ljust(KIND_WIDTH)
    name = f"  {title}" if title else ""
    task = "" if event.task_id is None else event.task_id
    made = Text.assemble((output.clock(event.at), "dim"), f" {task:>4}{name}  ", (what, style), f"  {words}")
    made.rstrip()
    return made


def consequence(kind: str, event: Event) -> str:
    """What else an event says, in words."""
    data = event.data
    again = f"; again in {_from(event.at, due)}" if (due := data.get("due_at")) and event.status == "scheduled" else ""
    match kind:
        case "claimed":
            return f"attempt {data.get('attempt', '?')} by {data.get('worker_id', '?')}"
        case "failed" | "expired":
            dead = "; no attempts left" if event.status == "failed" else ""
            return f"attempt {data.get('attempt', '?')}: {data.get('message') or kind}{again}{dead}"
        case "unblocked":
            parent = f"task {data['parent']}" if "parent" in data else "a task that you cannot see"
            return f"{parent} is done; now {event.status}"
        case "created":
            return f"now {event.status}" if event.status != "waiting" else ""
        case "completed":
            return f"attempt {data['attempt']}" if data.get("attempt", 1) > 1 else ""
    said = data.get("message") if kind == "budget_reached" else data.get("reason")
    return f"{said or ''}{again}"


def _elsewhere(event: Event) -> str:
    """What became of a directory, a key or an address."""
    data = event.data
    if not event.work_directory:
        return str(next((data[name] for name in ("name", "network", "account", "worker_id") if data.get(name)), ""))
    match event.type:
        case "directory.budget_reached":
            return f"{event.work_directory}: used up for today: {data.get('message')}"
        case "directory.budget_renewed":
            return f"{event.work_directory}: a new day"
    most = "" if data.get("max_running") is None else f", no more than {data['max_running']} run"
    days = ", ".join(
        words.format(value)
        for name, words in (("daily_cost_usd", "${:,.2f}"), ("daily_tokens", "{:,} tokens"), ("daily_attempts", "{:,} attempts"))
        if (value := data.get(name)) is not None
    )
    return f"{event.work_directory}: {'paused' if data.get('paused') else 'open'}{most}{days and f', {days} a day'}"


def _from(start: datetime, due: Any) -> str:
    when = datetime.fromtimestamp(due / 1000, UTC) if isinstance(due, int | float) else datetime.fromisoformat(str(due))
    return output.duration((when - start).total_seconds())
