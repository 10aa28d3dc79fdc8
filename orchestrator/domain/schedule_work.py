"""What a schedule creates: checked when it is saved, made when it fires, each time with no more rights than its creator had."""

import re
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from orchestrator.domain import runs, secrets, templates
from orchestrator.domain.drafting import Together, as_json, new_task, work_path
from orchestrator.domain.holders import reach
from orchestrator.domain.moments import moment
from orchestrator.domain.principal import PathScope, Principal
from orchestrator.domain.records import Schedule
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis, NewTask
from orchestrator.domain.world import World
from worker_client.contract.enums import Scope
from worker_client.contract.fields import JsonObject
from worker_client.contract.schedules import CommandCall, CreateSchedule, UpdateSchedule, WorkflowCall
from worker_client.contract.tasks import CreateTask
from worker_client.errors import Forbidden, NotFound, ValidationFailed

KINDS: Final = ("task", "tasks", "workflow", "command")
_SUBMIT: Final = frozenset({str(Scope.SUBMIT)})
_ABOUT_FIRES: Final = re.compile(r"\{[{%][^{}]*\b(?:fire|schedule)\b")
"""A template of ours: what else has braces, such as `docker ps --format {{.Names}}`, stays as it is."""
SOURCE: Final = "schedule"
_DAY: Final = 86_400_000


class Work(Struct, kw_only=True, omit_defaults=True):
    """Exactly one of them."""

    task: CreateTask | None = None
    tasks: list[CreateTask] | None = None
    workflow: WorkflowCall | None = None
    command: CommandCall | None = None

    def bodies(self, default: str) -> list[tuple[str, CreateTask]]:
        """The tasks that it creates, each with what stands before the names of its fields in messages.

        `default`: the directory of a command that names none.
        """
        if self.task is not None:
            return [("task.", self.task)]
        if self.command is not None:
            call = self.command
            where = default if call.work_directory is None else call.work_directory
            return [("", CreateTask(work_directory=where, command=call.name, arguments=call.arguments or None))]
        return [(f"tasks[{index}].", body) for index, body in enumerate(self.tasks or ())]


_decoder: Final = msgspec.json.Decoder(Work)


def sent(body: CreateSchedule | UpdateSchedule) -> Work | None:
    """The work that a body says; None: it says nothing of it. Raises ValidationFailed when it says more than one."""
    given = {kind: value for kind in KINDS if (value := getattr(body, kind)) is not None and value is not UNSET}
    if len(given) > 1:
        first, second, *_ = given
        raise ValidationFailed(f"send `{first}` or `{second}`, not both: a schedule creates one thing", field=second)
    return Work(**given) if given else None


def required(work: Work | None) -> Work:
    """The work of a new schedule. Raises ValidationFailed."""
    if work is None:
        raise ValidationFailed(
            "`task` is missing: send the `task` (or `tasks`, or a `workflow`, or a `command`) that the schedule creates",
            field="task",
        )
    return work


class Moment(Struct, frozen=True):
    """What templates of a schedule see of one fire: its due time, and which fire it is."""

    due_at: Millis
    number: int


_SAMPLES: Final = (Moment(1_800_000_000_000, 1), Moment(1_800_000_000_000 + 400 * _DAY, 2))
"""Two fires: what is the same for both is the same for all."""


def rendered(text: str, schedule_id: int, name: str, fire: Moment) -> Work:
    """The work of one fire. Raises ValidationFailed for a template that fails."""
    if _ABOUT_FIRES.search(text) is None:
        return _decoder.decode(text)
    names = {"schedule": {"id": schedule_id, "name": name}, "fire": {"due_at": _text(fire.due_at), "number": fire.number}}
    return msgspec.convert(_filled(msgspec.json.decode(text), names, "", templates.budget_of_many()), Work)


def _text(at: Millis) -> str:
    return moment(at).isoformat(timespec="seconds").replace("+00:00", "Z")


def trigger(schedule: Schedule, due_at: Millis) -> JsonObject:
    """What templates of a workflow see of a schedule that begins a run."""
    return {"type": "cron", "schedule_id": schedule.id, "schedule": schedule.name, "due_at": _text(due_at)}


def _filled(value: Any, names: templates.Values, at: str, budget: templates.Budget) -> Any:
    if isinstance(value, str):
        if _ABOUT_FIRES.search(value) is None:
            return value
        fill = templates.value if at.startswith("workflow.") else templates.render
        return fill(value, names, at, budget)
    if isinstance(value, dict):
        return {name: _filled(inner, names, f"{at}.{name}" if at else name, budget) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, names, f"{at}[{index}]", budget) for index, inner in enumerate(value)]
    return value


def principal(schedule: Schedule) -> Principal:
    """As whom a schedule creates: it sees and may use no more than who made it."""
    return Principal(id=f"schedule:{schedule.id}", scopes=_SUBMIT, paths=seen(schedule), secrets=_names(schedule.secrets))


def seen(schedule: Schedule) -> PathScope:
    """The directories of who made a schedule."""
    return reach(None if schedule.paths is None else tuple(msgspec.json.decode(schedule.paths)))


def place(schedule: Schedule) -> str:
    """Where those look who see only some directories: at the first task; empty for a schedule that may create tasks anywhere."""
    try:
        bodies = [] if schedule.paths is None else _decoder.decode(schedule.work).bodies("")
    except msgspec.MsgspecError:
        # It is told of what can't be read any more, too.
        return ""
    path = next((body.work_directory for _, body in bodies if body.work_directory), None)
    return "" if path is None else work_path(path, "work_directory")


def _names(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(msgspec.json.decode(text))


def checked(schedule: Schedule, by: Principal, world: World, rules: Rules) -> Schedule:
    """A schedule whose work can be created: by itself, and by who says what that is. Raises ValidationFailed and Forbidden."""
    if (call := _decoder.decode(schedule.work).workflow) is not None:
        for one in (principal(schedule), by):
            _check_workflow(call.id, one, world)
    for at, body in _decoder.decode(schedule.work).bodies(rules.defaults.work_directory):
        if body.run_at is not None:
            raise ValidationFailed(
                f"`{at}run_at` is one moment, and a schedule fires at many: leave it out, or send `delay_seconds`",
                field=f"{at}run_at",
            )
    first, second = (rendered(schedule.work, schedule.id, schedule.name, sample) for sample in _SAMPLES)
    for (at, body), (_, other) in zip(*(one.bodies(rules.defaults.work_directory) for one in (first, second)), strict=True):
        if body.key is not None and body.key == other.key:
            raise ValidationFailed(
                f"`{at}key` is {body.key!r} at every fire, so that there would be one task for ever: "
                "leave it out, or put `{{ fire.due_at }}` into it",
                field=f"{at}key",
            )
        task = new_task(body, rules.defaults, at)
        for one in (principal(schedule), by):
            if not one.paths.covers(task.path):
                raise Forbidden(_elsewhere(task.path, schedule, by), field=f"{at}work_directory")
            secrets.check(task.secrets, one, rules, f"{at}prompt")
    return schedule


def _check_workflow(workflow_id: str, by: Principal, world: World) -> None:
    try:
        runs.visible_workflow(workflow_id, by, world)
    except NotFound as error:
        raise ValidationFailed(str(error), field="workflow.id", value=workflow_id) from None


def _elsewhere(path: str, schedule: Schedule, by: Principal) -> str:
    if by.paths.covers(path):
        return f"{path} lies outside of the directories of who made this schedule ({schedule.owner}): make another one for it"
    return f"this key may not create tasks in {path}"


def tasks(schedule: Schedule, work: Work, rules: Rules) -> tuple[NewTask, ...]:
    """The tasks of one fire. Raises ValidationFailed."""
    together = Together(rules.defaults)
    return tuple(
        replace(together.draft(body, at), source=SOURCE, schedule_id=schedule.id, workflow_id=schedule.workflow_id)
        for at, body in work.bodies(rules.defaults.work_directory)
    )


def size(schedule: Schedule) -> int:
    """How many tasks a fire creates; a run counts as one."""
    return len(_decoder.decode(schedule.work).tasks or ("one",))


def as_text(work: Work) -> str:
    """Work as the column has it. Raises ValidationFailed."""
    return as_json(work, "task")
