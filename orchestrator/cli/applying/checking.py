"""What the server would refuse, found out before anything is changed."""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import structs

from orchestrator.cli.applying.declared import Declared
from worker_client.contract.schedules import CreateSchedule
from worker_client.contract.tasks import CreateTask
from worker_client.endpoints import check_notification_rule, check_schedule, check_workflow
from worker_client.errors import OrchestratorError

if TYPE_CHECKING:
    from worker_client.client import Client

SOME_PROMPT = "a prompt"
SOME_TASK = CreateTask(kind="http", spec={"url": "https://localhost"})
"""It needs no directory."""


def checked(client: "Client", wanted: Sequence[Declared]) -> str:
    """Have all that is declared checked by the server; the zone of schedules that name none. Raises OrchestratorError."""
    commands = {one.name for one in wanted if one.kind == "command"}
    for one in wanted:
        # Whether it is there already is another question.
        name = f"check-{secrets.token_hex(8)}"
        try:
            if one.kind == "workflow":
                client.send(check_workflow(structs.replace(one.body, name=name)))
            elif one.kind == "schedule":
                client.send(check_schedule(structs.replace(_alone(one, commands), name=name)))
            elif one.kind == "notification":
                client.send(check_notification_rule(structs.replace(one.body, name=name)))
        except OrchestratorError as error:
            raise placed(error, one.place) from None
    return client.system_info().scheduler.timezone if any(one.kind == "schedule" for one in wanted) else "UTC"


def placed(error: OrchestratorError, place: str) -> OrchestratorError:
    """An error with the place of what it is about before it."""
    from orchestrator.cli.exits import worded

    error.message = f"{place}: {worded(error)}" if place else worded(error)
    error.details.pop("field", None)
    return error


def _alone(one: Declared, commands: set[str]) -> CreateSchedule:
    """A schedule that needs neither commands nor workflows that these files are to make first."""
    body: CreateSchedule = one.body
    if one.uses is not None:
        return structs.replace(body, workflow=None, task=SOME_TASK)
    if body.command is not None and body.command.name in commands:
        path = body.command.work_directory
        task = SOME_TASK if path is None else CreateTask(work_directory=path, prompt=SOME_PROMPT)
        return structs.replace(body, command=None, task=task)
    if body.tasks is not None:
        return structs.replace(body, tasks=[_without(task, commands) for task in body.tasks])
    return body if body.task is None else structs.replace(body, task=_without(body.task, commands))


def _without(task: CreateTask, commands: set[str]) -> Any:
    return structs.replace(task, command=None, arguments=None, prompt=SOME_PROMPT) if task.command in commands else task
