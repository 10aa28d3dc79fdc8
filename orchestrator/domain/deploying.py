"""The triggers of workflows are turned on and off."""

from typing import Final

import msgspec
from msgspec.structs import replace

from orchestrator.domain import run_rows, schedules
from orchestrator.domain import trigger_operations as ops
from orchestrator.domain.moves import to_json
from orchestrator.domain.outcomes import Change, Decision, Defined, Noted
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Dropped, Kept, Schedule, TriggerState, Workflow, WorkflowVersion
from orchestrator.domain.rules import Rules
from orchestrator.domain.runs import visible_workflow
from orchestrator.domain.schedule_operations import AddSchedule
from orchestrator.domain.workflows import plan_of
from orchestrator.domain.world import World
from worker_client.contract.enums import Scope
from worker_client.contract.fields import JsonObject
from worker_client.contract.schedules import CreateSchedule
from worker_client.errors import NotFound

_CRON: Final = "cron"
_NOT_OF_SCHEDULES: Final = frozenset({"type", "enabled", "dry_run", "input"})
_LIVING: Final = ("runs", "failures", "last_due_at", "last_fire_at", "created_at", "counted_from")
"""What a schedule that is changed by deploying keeps."""
_TIMES: Final = frozenset({"id", "version", "due_at", "fire_at", "updated_at", "paused_reason", "enabled", *_LIVING})
"""What does not make it another one."""


def deploy(op: ops.Deploy, by: Principal, world: World, rules: Rules) -> Decision:
    """Have a version's triggers start runs of it; what a trigger of the same type remembers at a place stays."""
    workflow = visible_workflow(op.workflow_id, by, world)
    number = workflow.latest if op.number is None else op.number
    version = world.records.get(WorkflowVersion, workflow.id, number)
    if version is None:
        raise NotFound(
            f"workflow {workflow.id} has no version {number}: its latest is {workflow.latest}", field="version", version=number
        )
    after = replace(
        workflow, version=workflow.version + 1, deployed=number, deployed_at=world.now, updated_at=world.now
    )  # fmt: skip
    triggers = plan_of(version.definition).definition.triggers
    changes: list[Change] = [Kept(after), *_states(workflow.id, triggers, world), _told("deployed", after, number)]
    changes += _schedules(after, version, triggers, world, rules)
    return Decision(Defined(after), changes)


def undeploy(op: ops.Undeploy, by: Principal, world: World, _rules: Rules) -> Decision:
    """Have nothing start runs by itself any more."""
    workflow = visible_workflow(op.workflow_id, by, world)
    if workflow.deployed is None:
        return Decision(Defined(workflow))
    after = replace(workflow, version=workflow.version + 1, deployed=None, deployed_at=None, updated_at=world.now)
    changes: list[Change] = [Kept(after), *_states(workflow.id, [], world), _told("undeployed", after, workflow.deployed)]
    changes += [Dropped(schedule) for schedule in _deployed(workflow.id, world)]
    return Decision(Defined(after), changes)


def _states(workflow_id: str, triggers: list[JsonObject], world: World) -> list[Change]:
    """A row for each trigger that is on."""
    known = world.records.find(TriggerState, "states_of_workflow", workflow_id, such=lambda row: row.workflow_id == workflow_id)
    wanted = {place: str(one["type"]) for place, one in enumerate(triggers) if one.get("enabled", True)}
    changes: list[Change] = [Dropped(row) for row in known if wanted.get(row.place) != row.type]
    kept = {row.place for row in known if wanted.get(row.place) == row.type}
    for place in wanted.keys() - kept:
        state = TriggerState(
            workflow_id=workflow_id,
            place=place,
            version=1,
            type=wanted[place],
            state="{}",
            holder=None,
            held_until=None,
            failing=None,
            updated_at=world.now,
        )
        changes.append(Kept(state, fresh=True))
    return changes


def _schedules(
    workflow: Workflow, version: WorkflowVersion, triggers: list[JsonObject], world: World, rules: Rules
) -> list[Change]:
    """A schedule for each cron trigger that is on; one that stays as it was goes on, one that is changed keeps its history."""
    known = {schedule.place: schedule for schedule in _deployed(workflow.id, world)}
    wanted = {place: one for place, one in enumerate(triggers) if one["type"] == _CRON and one.get("enabled", True)}
    changes: list[Change] = [Dropped(schedule) for place, schedule in known.items() if place not in wanted]
    # The names of those that were are to be free for those that come in their places.
    world.apply([Dropped(schedule) for schedule in known.values()])
    try:
        made = {place: _made(workflow, version, place, one, world, rules) for place, one in wanted.items()}
    finally:
        world.apply([Kept(schedule) for schedule in known.values()])
    changes += [_in_place(one, known.get(place)) for place, one in made.items()]
    return changes


def _in_place(made: Schedule, before: Schedule | None) -> Kept:
    """What a schedule becomes."""
    if before is None:
        return Kept(made, fresh=True)
    if all(getattr(made, name) == getattr(before, name) for name in made.__struct_fields__ if name not in _TIMES):
        return Kept(before)
    kept = {name: getattr(before, name) for name in _LIVING}
    if not before.enabled:
        # It is on again: what it was paused for is forgiven.
        kept |= {"failures": 0, "counted_from": made.counted_from}
    return Kept(replace(made, id=before.id, version=before.version + 1, **kept))


def _made(workflow: Workflow, version: WorkflowVersion, place: int, one: JsonObject, world: World, rules: Rules) -> Schedule:
    """The schedule of a trigger, with the rights of who defined the workflow."""
    allowed = run_rows.listed(version.secrets)
    by = Principal(
        id=f"workflow:{workflow.id}",
        scopes=frozenset({str(Scope.SUBMIT)}),
        paths=run_rows.reach_of(workflow.paths),
        secrets=None if allowed is None else frozenset(allowed),
    )
    facts = {name: value for name, value in one.items() if name not in _NOT_OF_SCHEDULES}
    call = {"id": workflow.id, "input": one.get("input", {})}
    body = msgspec.convert({**facts, "name": f"trigger {place} of {workflow.id}", "workflow": call}, CreateSchedule)
    decision = schedules.add(AddSchedule(body=body), by, world, rules)
    made = next(change.record for change in decision.changes if isinstance(change, Kept))
    if not isinstance(made, Schedule):
        raise TypeError(f"{made!r} is no schedule")
    return replace(made, workflow_id=workflow.id, place=place)


def _deployed(workflow_id: str, world: World) -> list[Schedule]:
    return world.records.find(Schedule, "schedules_of_workflow", workflow_id, such=lambda one: one.workflow_id == workflow_id)


def _told(kind: str, workflow: Workflow, number: int) -> Noted:
    return Noted(f"workflow.{kind}", to_json({"workflow_id": workflow.id, "name": workflow.name, "version": number}))
