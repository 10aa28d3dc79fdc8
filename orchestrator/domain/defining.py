"""Workflows are saved and deleted."""

import msgspec
from msgspec.structs import replace

from orchestrator.domain import flow_operations as flow
from orchestrator.domain import secrets
from orchestrator.domain.holders import patterns
from orchestrator.domain.moves import to_json
from orchestrator.domain.outcomes import Decision, Defined, Done, Noted
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Dropped, Kept, Workflow, WorkflowVersion
from orchestrator.domain.rules import Rules
from orchestrator.domain.runs import unfinished_of, visible_workflow
from orchestrator.domain.world import World
from worker_client.errors import Conflict


def save_workflow(op: flow.SaveWorkflow, by: Principal, world: World, rules: Rules) -> Decision:
    """Save a new workflow, or the next version of one; a definition that is as it was makes no version."""
    secrets.check(op.asks, by, rules, "steps")
    before = None if op.workflow_id is None else visible_workflow(op.workflow_id, by, world)
    if before is not None:
        _check_base(op, before)
    scope = by.paths.key if before is None else before.scope
    if before is None or before.name != op.name:
        _check_name(op.name, scope, world)
    if before is not None:
        latest = world.records.get(WorkflowVersion, before.id, before.latest)
        same = latest is not None and latest.definition == op.definition
        if same and before.name == op.name:
            return Decision(Defined(before))
    else:
        same = False
    workflow = _new(op, scope, by, world) if before is None else _changed(before, op, world, same=same)
    decision = Decision(Defined(workflow), [Kept(workflow, fresh=before is None)])
    if not same:
        version = WorkflowVersion(
            workflow_id=workflow.id,
            number=workflow.latest,
            definition=op.definition,
            paths=_column(patterns(by.paths)),
            secrets=_column(None if by.secrets is None else tuple(sorted(by.secrets))),
            owner=by.id,
            created_at=world.now,
        )
        decision.changes.append(Kept(version, fresh=True))
    decision.changes.append(_told("saved", workflow))
    return decision


def _check_base(op: flow.SaveWorkflow, before: Workflow) -> None:
    for known in (op.version, op.base):
        if known is not None and known != before.latest:
            raise Conflict(
                f"workflow {before.id} is at version {before.latest}, not {known}: read it again and repeat the change on that",
                field="version",
                version=before.latest,
            )


def _check_name(name: str, scope: str, world: World) -> None:
    found = world.records.find(Workflow, "workflows_named", scope, name, such=lambda one: (one.scope, one.name) == (scope, name))
    if found:
        raise Conflict(
            f"there is a workflow named {name!r} already, {found[0].id}: change that one, or choose another name",
            field="name",
            workflow_id=found[0].id,
        )


def _new(op: flow.SaveWorkflow, scope: str, by: Principal, world: World) -> Workflow:
    return Workflow(
        id=f"wf_{world.nonce()}",
        version=1,
        scope=scope,
        name=op.name,
        paths=_column(patterns(by.paths)),
        secrets=_column(None if by.secrets is None else tuple(sorted(by.secrets))),
        owner=by.id,
        latest=1,
        deployed=None,
        deployed_at=None,
        managed_by=op.managed_by,
        created_at=world.now,
        updated_at=world.now,
    )


def _changed(before: Workflow, op: flow.SaveWorkflow, world: World, *, same: bool) -> Workflow:
    return replace(
        before,
        version=before.version + 1,
        name=op.name,
        latest=before.latest + (not same),
        updated_at=world.now,
    )


def delete_workflow(op: flow.DeleteWorkflow, by: Principal, world: World, _rules: Rules) -> Decision:
    """Remove a workflow with all its versions."""
    workflow = visible_workflow(op.workflow_id, by, world)
    if workflow.deployed is not None:
        raise Conflict(
            f"workflow {workflow.id} is deployed: DELETE /deployment/workflows/{workflow.id}/undeploy first",
            workflow_id=workflow.id,
        )
    if running := unfinished_of(workflow.id, 1, world):
        raise Conflict(
            f"workflow {workflow.id} runs, for one in run {running[0].id}: wait for its end,"
            f" or POST /workflows/{workflow.id}/stop first",
            workflow_id=workflow.id,
            run_id=running[0].id,
        )
    return Decision(Done(1), [Dropped(workflow), _told("deleted", workflow)])


def _told(kind: str, workflow: Workflow) -> Noted:
    return Noted(f"workflow.{kind}", to_json({"workflow_id": workflow.id, "name": workflow.name, "version": workflow.latest}))


def _column(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else msgspec.json.encode(names).decode()
