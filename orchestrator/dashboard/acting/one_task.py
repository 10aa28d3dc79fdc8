"""What is done to a task on its own page."""

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.dashboard.acting.act import Act, Done
from orchestrator.dashboard.form import Form
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.enums import Priority
from worker_client.contract.tasks import UpdateTask
from worker_client.errors import ValidationFailed


async def _change(visit: Visit, form: Form) -> Done:
    """Send what is other than it was; 409 when somebody else has changed the task since the form was drawn."""
    task_id = form.number("task_id")
    task = await visit.ask(endpoints.get_task(task_id))
    wanted: dict[str, Any] = {"priority": _priority(form.needed("priority"))}
    # What cannot be shown as it is has no field.
    wanted |= {"title": form.text("title")} if form.has("title") else {}
    prompt = form.text("prompt")
    if prompt is not None and prompt != (task.prompt or "").replace("\r\n", "\n"):
        wanted["prompt"] = prompt
    changed = {name: value for name, value in wanted.items() if value != getattr(task, name)}
    if changed:
        await visit.ask(endpoints.update_task(task_id, UpdateTask(version=form.number("version"), **changed)))
    return Done(visit.texts("did.change_task", id=str(task_id)), back=form.back)


def _priority(name: str) -> Priority:
    if name not in list(Priority):
        raise ValidationFailed(f"`priority` is {name[:100]!r}: expected {', '.join(Priority)}", field="priority")
    return Priority(name)


async def _delete(visit: Visit, form: Form) -> Done:
    task_id = form.number("task_id")
    await visit.ask(endpoints.delete_task(task_id))
    return Done(visit.texts("did.delete_task", id=str(task_id)), to="/tasks")


ACTIONS: Final[Mapping[str, Act]] = {"change_task": _change, "delete_task": _delete}
