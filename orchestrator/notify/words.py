"""What happened, in plain words, for mails and chats."""

from collections.abc import Mapping
from typing import Any, Final

from worker_client.contract.notifications import NotifiedEvent, NotifiedTask

_LONGEST_TITLE: Final = 80
_LONGEST_TEXT: Final = 1_500
_ENDED: Final[Mapping[str, str]] = {
    "task.created": "was created",
    "task.claimed": "is being worked on",
    "task.completed": "is completed",
    "task.cancelled": "was cancelled",
    "task.cancel_requested": "is to be stopped",
    "task.released": "was given back unfinished",
    "task.undelivered": "reached no worker and waits again",
    "task.answered": "was answered",
    "task.approved": "was approved",
    "task.retried": "is tried again",
    "task.revived": "is tried again, as the task it depends on is",
    "task.unblocked": "waits for no other task any more",
    "task.ready": "can be worked on",
    "task.executed": "is to be done at once",
    "task.updated": "was changed",
    "task.deleted": "was deleted",
    "task.budget_reached": "has used up its budget",
}

_BEFORE_WORK: Final = frozenset({"task.created", "task.unblocked"})
"""What is parked as early as this waits for an approval."""


def sentence(event: NotifiedEvent, task: NotifiedTask | None, rule: str) -> str:
    """What happened in one sentence or two; what a worker said stands behind a colon."""
    if event.type == "notification.test":
        return f"This is a test of the notification rule {rule!r}: it works."
    if event.task_id is not None:
        said = _of_task(event, task)
        return f"{_named(event, task)} {said}"
    return _of_others(event)


def subject(event: NotifiedEvent, task: NotifiedTask | None, rule: str) -> str:
    """The same as the subject of a mail."""
    if event.task_id is None:
        return sentence(event, task, rule)
    said = _of_task(event, task).partition(": ")[0].rstrip(".")
    return f"{_named(event, task, where=False)} {'has a question' if said == 'asks' else said}"


def _named(event: NotifiedEvent, task: NotifiedTask | None, *, where: bool = True) -> str:
    title = f" {line(task.title, _LONGEST_TITLE)!r}" if task is not None and task.title else ""
    host = f" on {event.host}" if event.host else ""
    return f"Task {event.task_id}{title}" + (f" in {event.work_directory}{host}" if where else "")


def _of_task(event: NotifiedEvent, task: NotifiedTask | None) -> str:
    why = _why(event, task)
    match event.type:
        case "task.failed" | "task.expired" if event.status == "failed":
            return f"failed for good: {why}" if why else "failed for good."
        case "task.failed":
            return f"failed and is tried again{_attempt(event, task)}: {why}" if why else "failed and is tried again."
        case "task.expired":
            return f"lost its worker and is tried again{_attempt(event, task)}: {why}" if why else "lost its worker."
        case "task.waiting_long":
            return f"has been waiting for {period(event.data.get('seconds', 0))}, and nobody has taken it."
        case "task.parked":
            return _parked(event, task)
    said = _ENDED.get(event.type, f"had the event {event.type}")
    if event.type in _BEFORE_WORK and event.status == "parked":
        said += ", and waits for an approval"
    reason = event.data.get("reason")
    return f"{said}: {line(str(reason), _LONGEST_TEXT)}" if reason and event.type != "task.budget_reached" else f"{said}."


def _parked(event: NotifiedEvent, task: NotifiedTask | None) -> str:
    reason = event.data.get("reason")
    if task is not None and task.question:
        options = f" ({' / '.join(line(str(one), 100) for one in task.options)})" if task.options else ""
        return f"asks: {line(task.question, _LONGEST_TEXT)}{options}"
    match reason:
        case "question":
            return "has a question."
        case "approval":
            return "waits for an approval."
        case "quota":
            return "waits for the quota of its account to come back."
        case "budget":
            return "has used up its budget, and waits for somebody to decide."
    message = event.data.get("message")
    return f"is parked ({reason})" + (f": {line(str(message), _LONGEST_TEXT)}" if message else ".")


def _why(event: NotifiedEvent, task: NotifiedTask | None) -> str:
    error = task.error if task is not None else None
    if isinstance(error, dict) and error.get("message"):
        kind = error.get("type")
        return line(f"{kind}: {error['message']}" if kind else str(error["message"]), _LONGEST_TEXT)
    return line(str(event.data.get("message") or ""), _LONGEST_TEXT)


def _attempt(event: NotifiedEvent, task: NotifiedTask | None) -> str:
    attempt = event.data.get("attempt")
    return f" (attempt {attempt} of {task.max_attempts})" if attempt and task is not None else ""


def _of_others(event: NotifiedEvent) -> str:
    data: Mapping[str, Any] = event.data
    kind, _, what = event.type.partition(".")
    name = data.get("name") or data.get("run_id") or data.get("schedule_id") or data.get("account") or data.get("worker_id")
    thing = kind.capitalize() + (f" {line(str(name), _LONGEST_TITLE)}" if name else "")
    if event.type == "trigger.dry_run":
        return f"A trigger ({data.get('type')}) of workflow {name!r} would have begun a run: it is set to dry_run."
    where = f" in {event.work_directory}" if event.work_directory else ""
    reason = data.get("reason")
    return f"{thing}{where}: {what.replace('_', ' ')}" + (f" ({line(str(reason), _LONGEST_TEXT)})." if reason else ".")


def period(seconds: float) -> str:
    """A time that went by, roughly, in words."""
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{int(seconds)} seconds"


def line(text: str, most: int) -> str:
    """A text as one line, with nothing in it that is not shown."""
    flat = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"
