"""A step of a run begins: its templates become tasks, or the reason why not."""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain import run_rows, templates, workflows
from orchestrator.domain.drafting import Together
from orchestrator.domain.enqueueing import enqueue
from orchestrator.domain.explain import invalid
from orchestrator.domain.outcomes import Created, Decision
from orchestrator.domain.planning import Stand
from orchestrator.domain.records import Run, RunStep, WorkflowVersion
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import NewTask
from orchestrator.domain.workflows import Plan
from orchestrator.domain.world import World
from worker_client.contract.enums import StepStatus
from worker_client.contract.fields import JsonObject
from worker_client.contract.tasks import CreateTask
from worker_client.contract.workflows import Step
from worker_client.errors import OrchestratorError, ValidationFailed

MOST_ITEMS: Final = 1_000
MOST_RESULTS: Final = 4_000_000
"""Characters of results that the templates of one step are given."""


class Room:
    """How many more tasks a transaction makes; a step that has more than are left waits for the next one."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self.full = False

    def take(self, count: int) -> bool:
        """Whether there is room for so many, which is theirs then; for any number, where nobody has taken any."""
        if count > self._left < self._most:
            self.full = True
            return False
        self._left -= count
        return True


class Stepper:
    """Begins steps of one run, in one transaction."""

    def __init__(  # each is a part of what a step is made of
        self, run: Run, version: WorkflowVersion, plan: Plan, rows: dict[str, RunStep], world: World, rules: Rules, room: Room
    ) -> None:
        self._run = run
        self._plan = plan
        self._rows = rows
        self._world = world
        self._rules = rules
        self._room = room
        self._by = run_rows.creator(run, version)
        self._names = {"input", "trigger", "run", *(f"steps.{step.id}" for step in plan.graph.steps)}
        self._given: JsonObject | None = None
        self._known: JsonObject = {}
        self._room_for_results = MOST_RESULTS
        self.decision = Decision(Created([]))
        self.made: dict[str, list[int]] = {}
        """Ids of the tasks of the steps that began, by item."""

    def begin(self, step: Step) -> Stand | None:
        """Make its tasks; a template that fails, or a task that is refused, fails the step. None: not in this transaction."""
        try:
            return self._begin(step)
        except OrchestratorError as refusal:
            return Stand(StepStatus.FAILED, refusal.message)

    def _begin(self, step: Step) -> Stand | None:
        values = self._values(step)
        if step.when is not None and not templates.condition(step.when, values, "when"):
            return Stand(StepStatus.SKIPPED, "its condition `when` is false")
        items = _items(step, values)
        if not items:
            return Stand(StepStatus.COMPLETED, "`for_each` has no items")
        if not self._room.take(len(items)):
            return None
        together, budget = Together(self._rules.defaults), templates.budget_of_many()
        new = tuple(together.draft(self._body(step, values, place, item, budget), "task.") for place, item in enumerate(items))
        new = tuple(self._of_the_run(step, place, task) for place, task in enumerate(new))
        op = ops.Enqueue(tasks=new, many=step.for_each is not None, key_scope=f"run:{self._run.id}")
        self._world.trace = self._run.traceparent
        enqueued = enqueue(op, self._by, self._world, self._rules)
        self._world.apply(enqueued.changes)
        self.decision.changes += enqueued.changes
        self.decision.wakes += enqueued.wakes
        if isinstance(enqueued.outcome, Created):
            self.made[step.id] = [task_id for task_id, _ in enqueued.outcome.tasks]
        return Stand(StepStatus.RUNNING)

    def _body(self, step: Step, values: JsonObject, place: int, item: Any, budget: templates.Budget) -> CreateTask:
        if step.for_each is not None:
            values = {**values, "item": item, "index": place}
        body = templates.render_body(step.task, values, "task", budget)
        try:
            task = msgspec.convert(body, CreateTask)
        except msgspec.ValidationError as error:
            raise invalid(error, CreateTask, body, within="task") from None
        if step.retry is not None:
            task = replace(
                task, max_attempts=step.retry.max_attempts or task.max_attempts, backoff=step.retry.backoff or task.backoff
            )
        if step.timeout_seconds is not None:
            task = replace(task, timeout_seconds=step.timeout_seconds)
        return task

    def _of_the_run(self, step: Step, place: int, task: NewTask) -> NewTask:
        row = self._rows.get(step.id)
        key = f"{step.id}/{place}" if row is None or row.take == 1 else f"{step.id}/{place}/{row.take}"
        return replace(
            task,
            key=key,
            key_hash="",
            source="workflow",
            workflow_id=self._run.workflow_id,
            run_id=self._run.id,
            step_id=step.id,
        )

    def _values(self, step: Step) -> JsonObject:
        """What the templates of a step are given: of earlier steps only those that they name."""
        run = self._run
        if self._given is None:
            self._given = {
                "input": msgspec.json.decode(run.input),
                "trigger": msgspec.json.decode(run.trigger),
                "run": {"id": run.id, "workflow_id": run.workflow_id, "workflow_name": run.workflow_name},
            }
        used = workflows.used(step, self._names, "step")
        wanted = [name.removeprefix("steps.") for name in used if name.startswith("steps.")]
        self._look_up([step_id for step_id in wanted if step_id not in self._known])
        return {**self._given, "steps": {step_id: self._known[step_id] for step_id in wanted}}

    def _look_up(self, step_ids: list[str]) -> None:
        """Get ready what templates are told of steps. Raises ValidationFailed when their results are too large for that."""
        rows = {step_id: row for step_id in step_ids if (row := self._rows.get(step_id)) is not None}
        tasks = {step_id: run_rows.task_ids(row) for step_id, row in rows.items()}
        for step_id, size in _sizes(tasks, self._world).items():
            self._room_for_results -= size
            if self._room_for_results < 0:
                raise ValidationFailed(
                    f"the results of step {step_id} have {size:,} characters, and templates are given {MOST_RESULTS:,}: have"
                    " its tasks complete with less, such as the name of a file",
                    field=f"steps.{step_id}",
                )
        found = self._world.source.results([task_id for ids in tasks.values() for task_id in ids])
        for step_id in step_ids:
            results = [msgspec.json.decode(found.get(task_id, "null")) for task_id in tasks.get(step_id, ())]
            row, listed = rows.get(step_id), self._plan.step(step_id).for_each is not None
            self._known[step_id] = {
                "status": row.status if row else str(StepStatus.PENDING),
                "reason": row.reason if row else None,
                "results": results,
                "result": results if listed else results[0] if results else None,
            }


def _sizes(tasks: dict[str, list[int]], world: World) -> dict[str, int]:
    sizes = world.source.result_sizes([task_id for ids in tasks.values() for task_id in ids])
    return {step_id: sum(sizes.get(task_id, 0) for task_id in ids) for step_id, ids in tasks.items()}


def _items(step: Step, values: JsonObject) -> list[Any]:
    """What a step makes tasks for; of one that does not fan out, one."""
    if step.for_each is None:
        return [None]
    if isinstance(step.for_each, str):
        made = templates.value(step.for_each, values, "for_each")
    else:
        made = templates.render_body({"for_each": step.for_each}, values)["for_each"]
    if not isinstance(made, list):
        raise ValidationFailed(f"`for_each` comes to {_said(made)}: have it come to a list", field="for_each")
    if len(made) > MOST_ITEMS:
        raise ValidationFailed(
            f"`for_each` comes to {len(made):,} items, more than {MOST_ITEMS:,}: have each stand for several",
            field="for_each",
        )
    return made


def _said(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {value[:50]!r}"
    return "an object" if isinstance(value, dict) else "nothing" if value is None else str(value)
