"""A new task as a form has it: its fields by the names that the API has for them, filled in, copied, and read again."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from orchestrator.dashboard.form import Form
from worker_client.contract.enums import Priority
from worker_client.contract.tasks import CreateTask, Task
from worker_client.errors import ValidationFailed

TEXTS: Final = (
    "work_directory", "prompt", "command", "arguments", "title", "description", "kind", "priority", "tags", "host",
    "delay_seconds", "run_at", "depends_on", "max_attempts", "timeout_seconds", "spec.agent", "spec.model", "spec.verify",
    "spec.budget.cost_usd", "spec.budget.tokens", "spec",
)  # fmt: skip
FLAGS: Final = ("requires_approval", "exclusive")
ARGUMENT: Final = "arguments."
"""Before the name of an argument of the chosen command."""
_OF_AGENTS: Final = ("agent", "model", "verify")
_MINUTES: Final = len("2030-01-31T18:00")


def copied(task: Task) -> dict[str, str]:
    """The fields of a task like another one."""
    spec = dict(task.spec) if isinstance(task.spec, dict) else {}
    budget = spec.pop("budget", None)
    budget = budget if isinstance(budget, dict) else {}
    known = {f"spec.{name}": spec.pop(name, None) for name in _OF_AGENTS if task.kind == "agent"}
    found: dict[str, Any] = {
        "work_directory": task.work_directory,
        "prompt": task.prompt,
        "title": task.title,
        "description": task.description,
        "kind": task.kind,
        "priority": str(task.priority),
        "tags": ", ".join(task.tags),
        "host": task.host,
        "max_attempts": task.max_attempts,
        "timeout_seconds": f"{task.timeout_seconds:g}",
        **known,
        **{f"spec.budget.{name}": budget.get(name) for name in ("cost_usd", "tokens")},
        "spec": msgspec.json.encode(spec).decode() if spec else None,
        **{name: "true" for name in FLAGS if getattr(task, name)},
    }
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


def drafted(form: Form) -> CreateTask:
    """What to create. Raises ValidationFailed, which names the field; what the API checks it checks."""
    delay = form.amount("delay_seconds")
    kind = form.text("kind") or "agent"
    facts: dict[str, Any] = {
        "work_directory": form.text("work_directory"),
        "prompt": form.text("prompt"),
        "command": form.text("command"),
        "title": form.text("title"),
        "description": form.text("description"),
        "kind": kind.strip(),
        "priority": _priority(form),
        "tags": _apart(form.text("tags")),
        "host": (form.text("host") or "").strip(),
        "delay_seconds": delay,
        "run_at": _moment(form.text("run_at")),
        "depends_on": [Form({"depends_on": [one]}).number("depends_on") for one in form.words("depends_on")],
        "max_attempts": _whole(form, "max_attempts"),
        "timeout_seconds": form.amount("timeout_seconds"),
        "spec": _spec(form),
        **{name: form.checked(name) for name in FLAGS},
    }
    if facts["command"] is not None:
        facts["arguments"] = _arguments(form)
    return CreateTask(**facts)


def _apart(text: str | None) -> list[str]:
    """Tags may have spaces in them: commas are between them."""
    return [tag for part in (text or "").split(",") if (tag := part.strip())]


def _priority(form: Form) -> Priority:
    text = form.text("priority") or Priority.NORMAL
    if text not in set(Priority):
        raise ValidationFailed(f"`priority` is {text[:100]!r}: expected one of {', '.join(Priority)}", field="priority")
    return Priority(text)


def _whole(form: Form, name: str) -> int | None:
    return None if form.text(name) is None else form.number(name)


def _arguments(form: Form) -> str | dict[str, Any] | None:
    """By name where the fields of the command were shown, else as one text."""
    named = {name.removeprefix(ARGUMENT): form.text(name) for name in form.names if name.startswith(ARGUMENT)}
    return {name: value for name, value in named.items() if value is not None} if named else form.text("arguments")


def _moment(text: str | None) -> Any:
    """A time of a browser's field has no offset: it is meant as UTC."""
    if text is None:
        return None
    whole = f"{text.strip()}:00Z" if len(text.strip()) == _MINUTES else text.strip()
    try:
        return msgspec.convert(whole, CreateTask.__annotations__["run_at"])
    except msgspec.ValidationError:
        said = f"`run_at` is {text[:100]!r}: expected a time such as 2030-01-31T18:00, UTC"
        raise ValidationFailed(said, field="run_at") from None


def _spec(form: Form) -> dict[str, Any] | None:
    """Further settings as JSON, with those that have fields of their own on top."""
    raw = form.text("spec")
    try:
        spec: Mapping[str, Any] = msgspec.json.decode(raw or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise ValidationFailed(f"`spec` is {str(raw)[:100]!r}: expected a JSON object", field="spec") from None
    own: dict[str, Any] = {name: form.text(f"spec.{name}") for name in _OF_AGENTS}
    budget = {"cost_usd": form.amount("spec.budget.cost_usd"), "tokens": _whole(form, "spec.budget.tokens")}
    own["budget"] = {name: value for name, value in budget.items() if value is not None} or None
    return {**spec, **{name: value for name, value in own.items() if value is not None}} or None
