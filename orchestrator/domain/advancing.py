"""Runs go on when something happened to their work: what is to be done follows from the rows as they are."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from orchestrator.domain import flow_operations as flow
from orchestrator.domain import run_rows, runs
from orchestrator.domain.outcomes import Decision, Done
from orchestrator.domain.planning import FINAL, Stand, advance, again, outcome, tally
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Consumer, Kept, Linked, Run, RunStep, WorkflowVersion
from orchestrator.domain.rules import Rules
from orchestrator.domain.schedules_following import settle
from orchestrator.domain.stepping import Room, Stepper
from orchestrator.domain.workflows import Plan, plan_of
from orchestrator.domain.world import World
from worker_client.contract.enums import FINAL as OVER
from worker_client.contract.enums import RunStatus, StepStatus
from worker_client.contract.workflows import Step

NAME: Final = "advancer"
_MOVING: Final = frozenset({"run.started", "run.resumed", "task.deleted", "task.retried", "task.revived"})
_ENDS: Final = frozenset({"task.deleted", "run.completed", "run.failed", "run.cancelled"})
_OVER: Final = frozenset(map(str, OVER))


class Stirring(Protocol):
    """What is looked at of an event."""

    @property
    def type(self) -> str:
        """What happened."""

    @property
    def status(self) -> str | None:
        """How the task stands."""

    @property
    def run_id(self) -> int | None:
        """The run."""

    @property
    def schedule_id(self) -> int | None:
        """The schedule."""


def moves(type: str, status: str | None) -> bool:
    """Whether an event may mean that a run has something to do: it begins, or a task of it has ended or is done again."""
    return type in _MOVING or status in _OVER


def stirs(event: Stirring) -> bool:
    """Whether somebody has to look: after an event of a run's or a schedule's work, but not after what looking itself does."""
    if event.run_id is None and event.schedule_id is None:
        return False
    return event.type in _ENDS or moves(event.type, event.status)


def follow(op: flow.Follow, _by: Principal, world: World, rules: Rules) -> Decision:
    """Read the feed where the last one ended, and have runs and schedules go on.

    Where there is not room for all, it ends before the first event of what is left: what is done twice changes nothing.
    """
    at = world.records.get(Consumer, NAME)
    events = world.records.linked(at.last_event if at else 0, op.limit)
    decision = Decision(Done())
    room = Room(op.tasks)
    left = {event.run_id for event in events if event.run_id is not None and moves(event.type, event.status)}
    for run_id in sorted(left):
        if op.gives_up:
            _give_up(run_id, decision, world, rules)
        elif room.full or not _go_on(run_id, decision, world, rules, room):
            break
        left.discard(run_id)
    read = _until(events, left)
    decision.outcome = Done(len(read), more=bool(left) or len(events) >= op.limit)
    ended = {event.schedule_id for event in read if event.schedule_id is not None and _ends(event)}
    followed = settle(() if op.gives_up else ended, world, rules)
    decision.changes += followed.changes
    decision.then += followed.then
    decision.wakes += followed.wakes
    if read:
        version = 1 if at is None else at.version + 1
        decision.changes.append(Kept(Consumer(name=NAME, version=version, last_event=read[-1].id), fresh=at is None))
    return decision


def _ends(event: Linked) -> bool:
    """Whether an event may mean that the work of a schedule has ended."""
    return event.status in _OVER or event.type in _ENDS


def _until(events: Sequence[Linked], left: set[int]) -> Sequence[Linked]:
    first = next((place for place, event in enumerate(events) if event.run_id in left), len(events))
    return events[:first]


def _go_on(run_id: int, decision: Decision, world: World, rules: Rules, room: Room) -> bool:
    """Do what a run has to do now; False when there was no room for all of it."""
    run = world.records.get(Run, run_id)
    version = None if run is None else world.records.get(WorkflowVersion, run.workflow_id, run.number)
    if run is None:
        return True
    if version is None:
        if run.finished_at is None:
            runs.end_run(run, RunStatus.FAILED, "its workflow has been deleted", decision, world, rules)
        return True
    plan = plan_of(version.definition)
    rows = {row.step_id: row for row in runs.steps_of(run_id, world)}
    found = world.source.awaited(run_id)
    taken_up = _taken_up(found, rows)
    if run.finished_at is not None:
        if not taken_up:
            return True
        run = run_rows.going_on(run, plan.definition.timeout_seconds, world.now)
        decision.changes += [Kept(run), run_rows.told("resumed", run)]
    if taken_up:
        _take_up(taken_up, plan, rows, decision, world, rules)
    unfinished = {task_id for task_id, _, _ in found}
    stepper = Stepper(run, version, plan, rows, world, rules, room)

    def look(step: Step) -> Stand | None:
        ids = run_rows.task_ids(rows[step.id])
        return None if unfinished.intersection(ids) else tally(ids, world.source.statuses(ids)).stand

    # Each row is moved before the next step begins, whose templates may name it.
    for step_id, stand in advance(plan.graph, _standing(rows), look, stepper.begin):
        rows[step_id] = run_rows.moved(rows.get(step_id), run_id, step_id, stand, world.now, stepper.made.get(step_id))
        facts = {"step": step_id, "step_status": str(stand.status), "reason": stand.reason}
        decision.changes += [Kept(rows[step_id]), run_rows.told("step", run, **facts)]
    decision.changes += stepper.decision.changes
    decision.wakes += stepper.decision.wakes
    _conclude(run, plan, rows, decision, world)
    return not room.full


def _give_up(run_id: int, decision: Decision, world: World, rules: Rules) -> None:
    run = world.records.get(Run, run_id)
    if run is not None and run.finished_at is None:
        runs.end_run(run, RunStatus.FAILED, "the server cannot go on with it: its log says why", decision, world, rules)


def _taken_up(unfinished: Sequence[tuple[int, str, bool]], rows: Mapping[str, RunStep]) -> set[str]:
    """The steps that are over, and of which a task is to be done again; not one that has yet to stop."""
    found = set()
    for task_id, step_id, stopping in unfinished:
        row = rows.get(step_id)
        if not stopping and row is not None and row.status in FINAL and task_id in run_rows.task_ids(row):
            found.add(step_id)
    return found


def _take_up(  # they go together
    steps: set[str], plan: Plan, rows: dict[str, RunStep], decision: Decision, world: World, rules: Rules
) -> None:
    """Have steps go on with their tasks, and forget what was done in those that depend on them."""
    work = again(plan.graph, steps)
    for step_id in sorted((work.on | work.anew) & rows.keys()):
        row = rows[step_id]
        if step_id in work.on:
            rows[step_id] = run_rows.moved(row, row.run_id, step_id, Stand(StepStatus.RUNNING), world.now, None)
        else:
            runs.cancel_tasks(run_rows.task_ids(row), f"step {step_id} begins anew", decision, world, rules)
            rows[step_id] = run_rows.anew(row)
        decision.changes.append(Kept(rows[step_id]))


def _conclude(run: Run, plan: Plan, rows: dict[str, RunStep], decision: Decision, world: World) -> None:
    end = outcome(plan.graph, _standing(rows))
    if end is not None:
        after = run_rows.ended(run, *end, world.now)
        decision.changes += [Kept(after), run_rows.told(after.status, after, reason=after.reason)]


def _standing(rows: Mapping[str, RunStep]) -> dict[str, StepStatus]:
    return {step_id: StepStatus(row.status) for step_id, row in rows.items()}
