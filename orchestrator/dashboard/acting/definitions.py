"""What is done to schedules, commands and deployments."""

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.dashboard.acting.act import Act, Done, calling
from orchestrator.dashboard.form import Form
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.commands import CreateCommand, UpdateCommand
from worker_client.contract.enums import Overlap
from worker_client.contract.schedules import CommandCall, CreateSchedule, StopSchedule
from worker_client.contract.tasks import CreateTask
from worker_client.contract.triggers import FireManually
from worker_client.endpoints import Call
from worker_client.errors import ValidationFailed


def _chosen(form: Form) -> int:
    return form.number("schedule_id")


async def _add_schedule(visit: Visit, form: Form) -> Done:
    """Create a schedule of one task, with a prompt or a command."""
    command, prompt, path = form.text("command"), form.text("prompt"), form.text("work_directory")
    if (command is None) == (prompt is None):
        raise ValidationFailed("write a prompt, or choose a command: exactly one of them", field="prompt")
    overlap = form.text("overlap") or Overlap.ALLOW
    if overlap not in set(Overlap):
        raise ValidationFailed(f"`overlap` is {overlap[:100]!r}: expected one of {', '.join(Overlap)}", field="overlap")
    call = None if command is None else CommandCall(name=command, arguments=form.text("arguments") or "", work_directory=path)
    made = CreateSchedule(
        name=form.needed("name").strip(),
        cron=form.needed("cron").strip(),
        timezone=form.text("timezone"),
        task=None if prompt is None else CreateTask(prompt=prompt, work_directory=path),
        command=call,
        overlap=Overlap(overlap),
        jitter_seconds=form.amount("jitter_seconds") or 0,
    )
    schedule = await visit.ask(endpoints.create_schedule(made))
    return Done(visit.texts("did.add_schedule", name=schedule.name), to=f"/schedules/{schedule.id}", back=form.back)


def _stop(form: Form) -> Call[Any]:
    return endpoints.stop_schedule(_chosen(form), StopSchedule(cancel=form.checked("cancel")))


def _add_command(form: Form) -> Call[Any]:
    description = form.text("description") or ""
    return endpoints.create_command(
        CreateCommand(name=form.needed("name").strip(), description=description, body=form.needed("body"))
    )


def _change_command(form: Form) -> Call[Any]:
    changes = UpdateCommand(description=form.text("description") or "", body=form.needed("body"))
    return endpoints.update_command(form.needed("name"), changes)


def _fire(form: Form) -> Call[Any]:
    return endpoints.fire_manually(form.needed("workflow_id"), FireManually(confirm=True))


ACTIONS: Final[Mapping[str, Act]] = {
    "add_schedule": _add_schedule,
    "start_schedule": calling("start_schedule", lambda form: endpoints.start_schedule(_chosen(form))),
    "stop_schedule": calling("stop_schedule", _stop),
    "execute_schedule": calling("execute_schedule", lambda form: endpoints.execute_schedule(_chosen(form))),
    "delete_schedule": calling("delete_schedule", lambda form: endpoints.delete_schedule(_chosen(form)), to="/schedules"),
    "start_scheduler": calling("start_scheduler", lambda _: endpoints.start_scheduler()),
    "stop_scheduler": calling("stop_scheduler", lambda _: endpoints.stop_scheduler()),
    "add_command": calling("add_command", _add_command, to="/commands"),
    "change_command": calling("change_command", _change_command, to="/commands"),
    "delete_command": calling("delete_command", lambda form: endpoints.delete_command(form.needed("name")), to="/commands"),
    "fire": calling("fire", _fire),
}
