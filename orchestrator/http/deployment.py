"""Workflows whose triggers are on."""

from typing import Any

import msgspec
from litestar import delete, get, post, put

from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.trigger_operations import Deploy, Undeploy
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import part
from orchestrator.http.query import nothing, parse
from orchestrator.http.scope import Asked, path_name, principal, submit
from orchestrator.queue.commit import Queue
from orchestrator.store.reads.triggers import Triggered
from orchestrator.triggers import TYPES, shown
from orchestrator.triggers.calling import problem
from worker_client.contract import workflows as contract
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.contract.request import Paged
from worker_client.contract.triggers import TriggerStatus
from worker_client.errors import Conflict, NotFound

_DEPLOYS: dict[str, Any] = described(contract.Deployment, body=contract.Deploy, body_optional=True, errors=(403, 409))


@post("/deployment/workflows/{workflow_id:str}/deploy", opt=_DEPLOYS, scope=Scope.ADMIN)
async def deploy_workflow(request: Asked) -> Answer:
    """Turn a workflow's triggers on: those of a version, by default the latest.

    409 when one of them lacks what it needs, such as a secret.
    """
    return await _deployed(request)


@put("/deployment/workflows/{workflow_id:str}/deploy", opt=_DEPLOYS, scope=Scope.ADMIN)
async def move_deployment(request: Asked) -> Answer:
    """Have the triggers of another version on, by default those of the latest; what they remember stays."""
    return await _deployed(request)


@delete(
    "/deployment/workflows/{workflow_id:str}/undeploy",
    opt=described(contract.Deployment, errors=(403,)),
    scope=Scope.ADMIN,
    status_code=200,
)
async def undeploy_workflow(request: Asked) -> Answer:
    """Turn a workflow's triggers off; its runs go on."""
    nothing(request)
    workflow_id = path_name(request, "workflow_id")
    await submit(request, Undeploy(workflow_id=workflow_id))
    return await _answer(request, workflow_id)


@get("/deployment/workflows/{workflow_id:str}/status", opt=described(contract.Deployment), scope=Scope.READ)
async def read_deployment(request: Asked) -> Answer:
    """Show whether a workflow's triggers are on, and of which version."""
    nothing(request)
    return await _answer(request, path_name(request, "workflow_id"))


@get("/deployment/workflows", opt=described(Page[contract.Deployment], query=Paged), scope=Scope.READ)
async def list_deployments(request: Asked) -> Answer:
    """List the workflows whose triggers are on, by name."""
    query = parse(request, Paged)
    queue: Queue = request.app.state.queue
    page = part(await queue.reads.deployments(principal(request).paths), query)
    return answer(msgspec.structs.replace(page, items=[await _deployment(request, one) for one in page.items]))


async def _deployed(request: Asked) -> Answer:
    body = await read(request, contract.Deploy, optional=True)
    workflow_id = path_name(request, "workflow_id")
    state = request.app.state
    queue: Queue = state.queue
    wanted = await queue.reads.triggers_of(workflow_id, body.version, principal(request).paths)
    for place, kept in enumerate(wanted):
        if kept.get("enabled", True) and (why := problem(kept, state.sealing, state.settings)) is not None:
            raise Conflict(f"`triggers[{place}]` cannot do its work: {why}", field=f"triggers[{place}]")
    await submit(request, Deploy(workflow_id=workflow_id, number=body.version))
    return await _answer(request, workflow_id)


async def found(request: Asked, workflow_id: str) -> Triggered:
    """A workflow with its triggers. Raises NotFound."""
    queue: Queue = request.app.state.queue
    workflow = await queue.reads.triggered(workflow_id, principal(request).paths)
    if workflow is None:
        raise NotFound(f"there is no workflow {workflow_id}", workflow_id=workflow_id)
    return workflow


async def _answer(request: Asked, workflow_id: str) -> Answer:
    return answer(await _deployment(request, await found(request, workflow_id)))


async def _deployment(request: Asked, workflow: Triggered) -> contract.Deployment:
    return contract.Deployment(
        workflow_id=workflow.workflow_id,
        name=workflow.name,
        deployed=workflow.number is not None,
        version=workflow.number,
        latest_version=workflow.latest,
        deployed_at=perhaps(workflow.deployed_at),
        triggers=[msgspec.to_builtins(one) for one in await statuses(request, workflow)],
    )


async def statuses(request: Asked, workflow: Triggered) -> list[TriggerStatus]:
    """The triggers of a workflow, as they are."""
    state = request.app.state
    queue: Queue = state.queue
    known = await queue.reads.trigger_states([workflow.workflow_id])
    last = await queue.reads.last_deliveries(workflow.workflow_id, len(workflow.triggers))
    below = f"{state.settings.server.root_path}/api/v1"
    made = []
    for place, (kept, seen) in enumerate(zip(workflow.triggers, shown(workflow.triggers), strict=True)):
        trigger = TYPES.get(kept["type"])
        enabled = bool(kept.get("enabled", True))
        address = None if trigger is None else trigger.address(trigger.read(kept), workflow.workflow_id)
        failing = known.get((workflow.workflow_id, place))
        if failing is None and enabled:
            failing = problem(kept, state.sealing, state.settings)
        at, outcome = last.get(place, (None, None))
        made.append(
            TriggerStatus(
                place=place,
                type=kept["type"],
                enabled=enabled,
                dry_run=bool(kept.get("dry_run", False)),
                active=enabled and workflow.number is not None,
                settings=seen,
                path=None if address is None else below + address,
                last_at=None if at is None else moment(at),
                last_outcome=outcome,
                failing=failing,
            )
        )
    return made


HANDLERS = tagged((deploy_workflow, move_deployment, undeploy_workflow, read_deployment, list_deployments), "Deployment")
