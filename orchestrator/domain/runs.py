"""Runs begin, are cancelled, run out of time, and are taken up again; what they do in between is in `advancing`."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from orchestrator.domain import changing, run_rows
from orchestrator.domain import flow_operations as flow
from orchestrator.domain import operations as ops
from orchestrator.domain.moves import to_json
from orchestrator.domain.outcomes import Begun, Change, Decision, Done
from orchestrator.domain.planning import BADLY, Stand, again
from orchestrator.domain.principal import SYSTEM, Principal
from orchestrator.domain.records import Kept, Run, RunStep, Workflow, WorkflowVersion
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Head, Millis
from orchestrator.domain.workflows import Plan, plan_of
from orchestrator.domain.world import World
from worker_client.contract.enums import RunStatus, Status, StepStatus
from worker_client.contract.fields import JsonObject
from worker_client.errors import Conflict, NotFound

_NAMED: Final = 5
"""Tasks that a refusal names."""


def visible_workflow(workflow_id: str, by: Principal, world: World) -> Workflow:
    """The workflow, or NotFound when there is none or who asks can't see all of its directories."""
    workflow = world.records.get(Workflow, workflow_id)
    if workflow is None or not run_rows.reach_of(workflow.paths).within(by.paths):
        raise NotFound(f"there is no workflow {workflow_id}", workflow_id=workflow_id)
    return workflow


def _visible_run(run_id: int, by: Principal, world: World) -> Run:
    run = world.records.get(Run, run_id)
    if run is None or not run_rows.reach_of(run.paths).within(by.paths):
        raise NotFound(f"there is no run {run_id}", run_id=run_id)
    return run


def begin_run(
    world: World,
    workflow: Workflow,
    number: int | None = None,
    *,
    input: JsonObject | None = None,
    trigger: JsonObject | None = None,
    source: str = "api",
    schedule_id: int | None = None,
) -> tuple[Run, list[Change]]:
    """A new run of a version (None: the latest), `input` over its defaults; its first steps begin with the next `Follow`.

    Raises NotFound for a version that there is not.
    """
    number = workflow.latest if number is None else number
    version = world.records.get(WorkflowVersion, workflow.id, number)
    if version is None:
        raise NotFound(
            f"workflow {workflow.id} has no version {number}: its latest is {workflow.latest}",
            field="version",
            workflow_id=workflow.id,
        )
    definition = plan_of(version.definition).definition
    run = Run(
        id=world.records.new_id(Run),
        version=1,
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        number=number,
        status=str(RunStatus.RUNNING),
        paths=workflow.paths,
        input=to_json({**definition.input, **(input or {})}),
        trigger=to_json(trigger or {}),
        source=source,
        schedule_id=schedule_id,
        reason=None,
        traceparent=world.trace,
        deadline_at=run_rows.deadline(definition.timeout_seconds, world.now),
        created_at=world.now,
        updated_at=world.now,
        finished_at=None,
    )
    return run, [Kept(run, fresh=True), run_rows.told("started", run, source=source, version=number)]


def begin(op: flow.BeginRun, by: Principal, world: World, _rules: Rules) -> Decision:
    """Begin a run because somebody asked for it."""
    workflow = visible_workflow(op.workflow_id, by, world)
    given, trigger = msgspec.json.decode(op.input), msgspec.json.decode(op.trigger)
    run, changes = begin_run(world, workflow, op.number, input=given, trigger=trigger, source=op.source)
    return Decision(Begun(run), changes)


def cancel(op: flow.CancelRun, by: Principal, world: World, rules: Rules) -> Decision:
    """End a run that has not ended."""
    run = _visible_run(op.run_id, by, world)
    if run.finished_at is not None:
        raise Conflict(f"run {run.id} has ended, {run.status}: there is nothing to cancel", run_id=run.id, status=run.status)
    decision = Decision(Done(1))
    end_run(run, RunStatus.CANCELLED, op.reason, decision, world, rules)
    return decision


def stop(op: flow.StopRuns, by: Principal, world: World, rules: Rules) -> Decision:
    """End the unfinished runs of a workflow, the oldest first."""
    workflow = visible_workflow(op.workflow_id, by, world)
    found = unfinished_of(workflow.id, op.limit, world)
    decision = Decision(Done(len(found), more=len(found) >= op.limit))
    for run in found[: op.limit]:
        end_run(run, RunStatus.CANCELLED, op.reason, decision, world, rules)
    return decision


def unfinished_of(workflow_id: str, limit: int, world: World) -> list[Run]:
    """The unfinished runs of a workflow, the oldest first, about as many as `limit`."""

    def such(run: Run) -> bool:
        return run.workflow_id == workflow_id and run.finished_at is None

    return sorted(world.records.find(Run, "unfinished_runs", workflow_id, limit, such=such), key=lambda run: run.id)


def overdue(limit: int, decision: Decision, world: World, rules: Rules) -> int:
    """Fail the runs whose time is over; how many those were."""

    def such(run: Run) -> bool:
        return run.finished_at is None and run.deadline_at is not None and run.deadline_at <= world.now

    found = world.records.find(Run, "overdue_runs", world.now, limit, such=such)
    for run in found:
        end_run(run, RunStatus.FAILED, "its time limit is over", decision, world, rules)
    return len(found)


def past(before: Millis, limit: int, world: World) -> list[Run]:
    """Runs that ended before a time, and have no tasks any more."""

    def such(run: Run) -> bool:
        return run.finished_at is not None and run.finished_at < before

    return world.records.find(Run, "past_runs", before, limit, such=such)


def end_run(run: Run, status: RunStatus, reason: str | None, decision: Decision, world: World, rules: Rules) -> None:
    """End a run and what of it has not ended; running tasks are asked to stop."""
    words = f"run {run.id} {'was cancelled' if status is RunStatus.CANCELLED else 'failed'}: {reason or 'no reason was given'}"
    after = run_rows.ended(run, status, reason, world.now)
    decision.changes += [Kept(after), run_rows.told(str(status), after, reason=reason)]
    for row in steps_of(run.id, world):
        if row.status in {StepStatus.PENDING, StepStatus.RUNNING}:
            stand = Stand(StepStatus.CANCELLED, words)
            decision.changes.append(Kept(run_rows.moved(row, run.id, row.step_id, stand, world.now, None)))
    cancel_tasks(world.awaited(run.id), words, decision, world, rules)
    world.apply(decision.changes)


def steps_of(run_id: int, world: World) -> list[RunStep]:
    """The steps of a run that something has been done about."""
    return world.records.find(RunStep, "steps_of_run", run_id, such=lambda row: row.run_id == run_id)


def cancel_tasks(ids: Iterable[int], reason: str, decision: Decision, world: World, rules: Rules) -> None:
    """Cancel those tasks that have not ended."""
    ids = list(ids)
    world.load(ids, ending=ids)
    for task_id in ids:
        head = world.head(task_id)
        if head is not None and not head.status.final and head.cancel_requested_at is None:
            _also(changing.cancel(ops.Cancel(task_id=task_id, reason=reason), SYSTEM, world, rules), decision, world)


def _also(made: Decision, decision: Decision, world: World) -> None:
    world.apply(made.changes)
    decision.changes += made.changes
    decision.wakes += made.wakes
    decision.then += made.then


def resume(op: flow.ResumeRun, by: Principal, world: World, rules: Rules) -> Decision:
    """Take up the steps that failed or were cancelled, and do anew what depends on them; completed tasks keep their results."""
    run = _visible_run(op.run_id, by, world)
    plan = _resumable(run, world)
    rows = {row.step_id: row for row in steps_of(run.id, world)}
    work = again(plan.graph, [row.step_id for row in rows.values() if row.status in BADLY])
    heads = _heads(run, [rows[step_id] for step_id in (work.on | work.anew) & rows.keys()], world)
    decision = Decision(Done(1))
    for step in plan.graph.steps:
        row = rows.get(step.id)
        if row is None:
            continue
        if step.id in work.on and _goes_on(row, heads):
            decision.changes.append(Kept(run_rows.moved(row, run.id, step.id, Stand(StepStatus.RUNNING), world.now, None)))
            for task_id in run_rows.task_ids(row):
                if heads[task_id].status in {Status.FAILED, Status.CANCELLED}:
                    _also(changing.retry(ops.Retry(task_id=task_id), SYSTEM, world, rules), decision, world)
        elif step.id in work.on or step.id in work.anew:
            decision.changes.append(Kept(run_rows.anew(row)))
    after = run_rows.going_on(run, plan.definition.timeout_seconds, world.now)
    decision.changes += [Kept(after), run_rows.told("resumed", after)]
    return decision


def _resumable(run: Run, world: World) -> Plan:
    if run.status not in {RunStatus.FAILED, RunStatus.CANCELLED}:
        step = "it goes on" if run.finished_at is None else "execute the workflow again"
        raise Conflict(f"run {run.id} is {run.status}, not failed or cancelled: {step}", run_id=run.id, status=run.status)
    version = world.records.get(WorkflowVersion, run.workflow_id, run.number)
    if version is None:
        raise Conflict(f"workflow {run.workflow_id} has been deleted, so that run {run.id} can't go on", run_id=run.id)
    return plan_of(version.definition)


def _heads(run: Run, rows: Iterable[RunStep], world: World) -> dict[int, Head]:
    """The tasks of steps by id, those that there still are; refuses while one of them has yet to stop."""
    ids = [task_id for row in rows for task_id in run_rows.task_ids(row)]
    world.load(ids)
    heads = {task_id: head for task_id in ids if (head := world.head(task_id)) is not None}
    if stopping := [str(head.id) for head in heads.values() if not head.status.final]:
        named = ", ".join(stopping[:_NAMED]) + (" ..." if len(stopping) > _NAMED else "")
        raise Conflict(f"tasks of run {run.id} have not stopped yet: {named}; resume it when they have", run_id=run.id)
    return heads


def _goes_on(row: RunStep, heads: dict[int, Any]) -> bool:
    """Whether a step has all of its tasks; one that made none, or of which one was deleted, begins anew."""
    ids = run_rows.task_ids(row)
    return bool(ids) and all(task_id in heads for task_id in ids)
