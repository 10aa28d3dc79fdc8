"""Workflows: their definitions, and what begins and stops their runs."""

import asyncio
from typing import Any, Final

import msgspec
from litestar import delete, get, post, put
from msgspec import UNSET
from msgspec.structs import replace

from orchestrator import triggers
from orchestrator.domain import flow_operations as flow
from orchestrator.domain.drafting import as_json
from orchestrator.domain.operations import Rehearse
from orchestrator.domain.outcomes import Begun, Defined, Done
from orchestrator.domain.run_rows import reach_of
from orchestrator.domain.workflows import Definition, check
from orchestrator.http import flow_views as views
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer, empty
from orchestrator.http.intake import masked
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import page, place
from orchestrator.http.query import nothing, parse
from orchestrator.http.runs import seen as seen_run
from orchestrator.http.scope import Asked, path_name, principal, submit
from orchestrator.queue.commit import Queue
from orchestrator.store.reads import flows
from worker_client.contract import workflows as contract
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.contract.tasks import Counted, Reason
from worker_client.errors import NotFound

_CHANGED: Final[dict[str, Any]] = {"errors": (409,)}


@post("/workflows", opt=described(contract.Workflow, body=contract.CreateWorkflow, status=201, **_CHANGED), scope=Scope.ADMIN)
async def create_workflow(request: Asked) -> Answer:
    """Create a workflow; its triggers do nothing until it is deployed.

    What can't work is refused: cycles, steps, names in templates and fields of tasks that there are not.
    """
    return answer(views.workflow(await _saved(request, await _new(request))), 201)


@post(
    "/workflows/check",
    opt=described(None, body=contract.CreateWorkflow, status=204, errors=(403, 409)),
    status_code=200,
    scope=Scope.ADMIN,
)
async def check_workflow(request: Asked) -> Answer:
    """Find out whether a workflow would be created; nothing is saved."""
    await submit(request, Rehearse(op=await _new(request)))
    return empty()


@get("/workflows", opt=described(Page[contract.Workflow], query=contract.ListWorkflows), scope=Scope.READ)
async def list_workflows(request: Asked) -> Answer:
    """List workflows in their latest versions, by name."""
    query = parse(request, contract.ListWorkflows)
    found = await _queue(request).reads.workflows(query, principal(request).paths, place(query))
    items = [views.workflow(one) for one in found.items]
    if query.runs:
        last = await _queue(request).reads.last_runs([one.id for one in items], query.runs, principal(request).paths)
        items = [replace(one, runs=last.get(one.id, [])) for one in items]
    return answer(page(items, query, total=found.total, total_exact=found.total_exact))


@get("/workflows/{workflow_id:str}", opt=described(contract.Workflow, query=contract.WorkflowVersion), scope=Scope.READ)
async def get_workflow(request: Asked) -> Answer:
    """Read a workflow in its latest version, or in another."""
    query = parse(request, contract.WorkflowVersion)
    return answer(views.workflow(await seen(request, path_name(request, "workflow_id"), query.version)))


@put(
    "/workflows/{workflow_id:str}",
    opt=described(contract.Workflow, body=contract.UpdateWorkflow, **_CHANGED),
    scope=Scope.ADMIN,
)
async def update_workflow(request: Asked) -> Answer:
    """Make a new version of a workflow; what is left out stays.

    Runs go on with the version that they began with; a deployment is moved by deploying again. With `version`, 409 when that is
    no longer the latest.
    """
    body = await read(request, contract.UpdateWorkflow)
    before = await seen(request, path_name(request, "workflow_id"))
    # What it creates, it creates with the rights of who defined it first.
    by = replace(principal(request), paths=reach_of(before.workflow.paths))
    known = msgspec.json.decode(before.version.definition, type=Definition)
    facts = {name: getattr(body, name) for name in ("steps", "input", "description", "timeout_seconds")}
    definition = replace(known, **{name: value for name, value in facts.items() if value is not UNSET})
    if body.triggers is not UNSET:
        kept = triggers.checked(body.triggers, by, request.app.state.sealing, known.triggers)
        definition = replace(definition, triggers=kept)
    asks = await asyncio.to_thread(check, definition, by, _queue(request).rules.defaults)
    op = flow.SaveWorkflow(
        workflow_id=before.workflow.id,
        base=before.workflow.latest,
        version=body.version,
        name=before.workflow.name if body.name is UNSET else body.name,
        definition=_text(definition),
        asks=asks,
    )
    return answer(views.workflow(await _saved(request, op)))


@delete("/workflows/{workflow_id:str}", opt=described(None, status=204, **_CHANGED), status_code=200, scope=Scope.ADMIN)
async def delete_workflow(request: Asked) -> Answer:
    """Delete a workflow that is not deployed and has no run under way; runs that have ended stay."""
    nothing(request)
    await submit(request, flow.DeleteWorkflow(workflow_id=path_name(request, "workflow_id")))
    return empty()


@post(
    "/workflows/{workflow_id:str}/execute",
    opt=described(contract.Run, body=contract.Execute, body_optional=True, status=201),
    scope=Scope.SUBMIT,
)
async def execute_workflow(request: Asked) -> Answer:
    """Begin a run now, deployed or not."""
    workflow_id = path_name(request, "workflow_id")
    body = await read(request, contract.Execute, optional=True)
    op = flow.BeginRun(workflow_id=workflow_id, number=body.version, input=as_json(body.input, "input"))
    begun: Begun = await submit(request, op)
    return answer(views.run(await seen_run(request, begun.run.id)), 201)


@post(
    "/workflows/{workflow_id:str}/stop",
    opt=described(Counted, body=Reason, body_optional=True),
    scope=Scope.SUBMIT,
)
async def stop_workflow(request: Asked) -> Answer:
    """Cancel all runs of a workflow that have not ended, and their tasks; says how many those were."""
    workflow_id = path_name(request, "workflow_id")
    body = await read(request, Reason, optional=True)
    reason = masked(body.reason, request.app.state.redaction)
    count, more = 0, True
    while more:
        done: Done = await submit(request, flow.StopRuns(workflow_id=workflow_id, reason=reason))
        count, more = count + done.count, done.more
    return answer(Counted(count=count))


async def seen(request: Asked, workflow_id: str, number: int | None = None) -> flows.Defined:
    """A workflow that the caller may see, in a version (None: the latest). Raises NotFound."""
    paths = principal(request).paths
    found = await _queue(request).reads.workflow(workflow_id, paths, number)
    if found is not None:
        return found
    latest = None if number is None else await _queue(request).reads.workflow(workflow_id, paths)
    if latest is None:
        raise NotFound(f"there is no workflow {workflow_id[:100]}", workflow_id=workflow_id[:100])
    raise NotFound(
        f"workflow {workflow_id} has no version {number}: its latest is {latest.workflow.latest}", workflow_id=workflow_id
    )


async def _new(request: Asked) -> flow.SaveWorkflow:
    """The workflow that a body asks for. Raises ValidationFailed, Forbidden, Conflict."""
    body = await read(request, contract.CreateWorkflow)
    by = principal(request)
    kept = triggers.checked(body.triggers, by, request.app.state.sealing)
    definition = Definition(
        steps=body.steps,
        triggers=kept,
        input=body.input,
        description=body.description,
        timeout_seconds=body.timeout_seconds,
    )
    asks = await asyncio.to_thread(check, definition, by, _queue(request).rules.defaults)
    return flow.SaveWorkflow(name=body.name, definition=_text(definition), asks=asks, managed_by=body.managed_by)


async def _saved(request: Asked, op: flow.SaveWorkflow) -> flows.Defined:
    saved: Defined = await submit(request, op)
    return await seen(request, saved.workflow.id, saved.workflow.latest)


def _queue(request: Asked) -> Queue:
    queue: Queue = request.app.state.queue
    return queue


def _text(definition: Definition) -> str:
    return as_json(definition, "steps")


HANDLERS = tagged(
    (
        create_workflow, check_workflow, list_workflows, get_workflow, update_workflow, delete_workflow, execute_workflow,
        stop_workflow,
    ),
    "Workflows",
)  # fmt: skip
