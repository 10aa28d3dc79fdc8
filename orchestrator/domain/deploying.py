"""The triggers of workflows are turned on and off."""

from msgspec.structs import replace

from orchestrator.domain import trigger_operations as ops
from orchestrator.domain.moves import to_json
from orchestrator.domain.outcomes import Change, Decision, Defined, Noted
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Dropped, Kept, TriggerState, Workflow, WorkflowVersion
from orchestrator.domain.rules import Rules
from orchestrator.domain.runs import visible_workflow
from orchestrator.domain.workflows import plan_of
from orchestrator.domain.world import World
from worker_client.contract.fields import JsonObject
from worker_client.errors import NotFound


def deploy(op: ops.Deploy, by: Principal, world: World, _rules: Rules) -> Decision:
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
    return Decision(Defined(after), changes)


def undeploy(op: ops.Undeploy, by: Principal, world: World, _rules: Rules) -> Decision:
    """Have nothing start runs by itself any more."""
    workflow = visible_workflow(op.workflow_id, by, world)
    if workflow.deployed is None:
        return Decision(Defined(workflow))
    after = replace(workflow, version=workflow.version + 1, deployed=None, deployed_at=None, updated_at=world.now)
    changes: list[Change] = [Kept(after), *_states(workflow.id, [], world), _told("undeployed", after, workflow.deployed)]
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


def _told(kind: str, workflow: Workflow, number: int) -> Noted:
    return Noted(f"workflow.{kind}", to_json({"workflow_id": workflow.id, "name": workflow.name, "version": number}))
