"""Triggers of workflows: how they are, what reached them, and firing them by hand."""

from collections import Counter
from typing import Any, Final

import msgspec
from litestar import get, post

from orchestrator.domain.moments import perhaps
from orchestrator.domain.trigger_operations import Deliver
from orchestrator.http.body import read
from orchestrator.http.calls import at_workflow, deliver, headers, outcome_of
from orchestrator.http.deployment import found, statuses
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import listed
from orchestrator.http.query import nothing, parse
from orchestrator.http.scope import Asked, path_name, principal
from orchestrator.queue.commit import Queue
from orchestrator.store.reads.triggers import Triggered
from orchestrator.triggers import TYPES
from orchestrator.triggers.calling import problem
from orchestrator.triggers.manual import Manual, ManualSettings
from orchestrator.triggers.web import Incoming, first_key
from worker_client.contract import triggers as contract
from worker_client.contract.enums import DeliveryOutcome, Scope
from worker_client.contract.envelope import Page
from worker_client.contract.fields import JsonObject
from worker_client.errors import Conflict

_KEY: Final = "idempotency-key"
_FIRED: Final[dict[str, Any]] = {"status": 202, "also": (200,), "errors": (403, 409)}


@get("/triggers/workflows/{workflow_id:str}/status", opt=described(contract.WorkflowTriggers), scope=Scope.READ)
async def read_triggers(request: Asked) -> Answer:
    """Show the triggers of a workflow: what they wait for, what reached them last, and why one cannot do its work."""
    nothing(request)
    workflow = await found(request, path_name(request, "workflow_id"))
    return answer(
        contract.WorkflowTriggers(
            workflow_id=workflow.workflow_id,
            deployed=workflow.number is not None,
            version=workflow.number,
            triggers=await statuses(request, workflow),
        )
    )


@get(
    "/triggers/workflows/{workflow_id:str}/deliveries",
    opt=described(Page[contract.Delivery], query=contract.ListDeliveries),
    scope=Scope.READ,
)
async def list_deliveries(request: Asked) -> Answer:
    """List what reached the triggers of a workflow, newest first: also what was filtered, refused or known."""
    query = parse(request, contract.ListDeliveries)
    workflow = await found(request, path_name(request, "workflow_id"))
    queue: Queue = request.app.state.queue
    return answer(listed(await queue.reads.deliveries(workflow.workflow_id, query), query))


@post(
    "/triggers/workflows/{workflow_id:str}/manual",
    opt=described(contract.Delivered, body=contract.FireManually, body_optional=True, **_FIRED),
    scope=Scope.SUBMIT,
)
async def fire_manually(request: Asked) -> Answer:
    """Fire the manual trigger of a deployed workflow, with input that goes over its defaults.

    A trigger that wants it confirmed answers 409, and says what would run, until `confirm` is true. The same `Idempotency-Key`
    fires once.
    """
    body = await read(request, contract.FireManually, optional=True)
    workflow = await found(request, path_name(request, "workflow_id"))
    place, settings = _manual(workflow)
    if settings.confirm and not body.confirm:
        raise Conflict(
            f"this would begin a run of {workflow.name!r} ({workflow.workflow_id}), version {workflow.number}"
            f"{', as a dry run' if settings.dry_run else ''}: send `confirm` true to do so",
            field="confirm",
            workflow_id=workflow.workflow_id,
            version=workflow.number,
        )
    key = first_key(Incoming(method="POST", headers=headers(request), query={}, raw=b""), (_KEY,))
    by = principal(request)
    told: JsonObject = {"type": Manual.name, "method": "POST", "headers": {}, "query": {}, "delivery_id": key, "by": by.id}
    op = Deliver(
        workflow_id=workflow.workflow_id,
        place=place,
        type=Manual.name,
        key=key,
        outcome=DeliveryOutcome.DRY_RUN if settings.dry_run else DeliveryOutcome.FIRED,
        input=msgspec.json.encode(body.input).decode(),
        trigger=msgspec.json.encode(told).decode(),
        facts=msgspec.json.encode({"by": by.id}).decode(),
    )
    return outcome_of(await deliver(request, op, by))


@post(
    "/triggers/workflows/{workflow_id:str}/webhook",
    opt=described(contract.Delivered, **_FIRED),
    scope=Scope.SUBMIT,
)
async def fire_webhook(request: Asked) -> Answer:
    """Fire the webhook of a deployed workflow as its callers do, with a key of this server in place of what they show."""
    return await at_workflow(request, path_name(request, "workflow_id"), principal(request), known=True)


@get("/triggers/health", opt=described(contract.TriggerHealth), scope=Scope.READ)
async def read_trigger_health(request: Asked) -> Answer:
    """Show how the triggers of all deployed workflows are."""
    nothing(request)
    state = request.app.state
    queue: Queue = state.queue
    by = principal(request)
    workflows = await queue.reads.deployments(by.paths)
    known = await queue.reads.trigger_states([one.workflow_id for one in workflows])
    deployed: Counter[str] = Counter()
    failing = []
    for workflow in workflows:
        for place, kept in enumerate(workflow.triggers):
            if kept.get("enabled", True):
                deployed[kept["type"]] += 1
                why = known.get((workflow.workflow_id, place)) or problem(kept, state.sealing, state.settings)
                if why is not None:
                    failing.append(
                        contract.FailingTrigger(workflow_id=workflow.workflow_id, trigger=place, type=kept["type"], failing=why)
                    )
    everything = by.paths.patterns is None
    return answer(
        contract.TriggerHealth(
            healthy=not failing,
            types=list(TYPES),
            deployed=dict(deployed),
            failing=failing,
            fetching=await queue.reads.waiting_deliveries() if everything else 0,
            refused_at=perhaps(await queue.reads.refused_strangers()) if everything else None,
        )
    )


def _manual(workflow: Triggered) -> tuple[int, ManualSettings]:
    """The manual trigger of a deployed workflow. Raises Conflict."""
    if workflow.number is None:
        raise Conflict(
            f"workflow {workflow.workflow_id} is not deployed, so that its triggers are off: "
            f"POST /deployment/workflows/{workflow.workflow_id}/deploy, or POST /workflows/{workflow.workflow_id}/execute",
            workflow_id=workflow.workflow_id,
        )
    for place, kept in enumerate(workflow.triggers):
        if kept["type"] == Manual.name and kept.get("enabled", True):
            return place, msgspec.convert(kept, ManualSettings)
    raise Conflict(
        f"version {workflow.number} of workflow {workflow.workflow_id} has no manual trigger that is on: "
        f"add one and deploy that, or POST /workflows/{workflow.workflow_id}/execute",
        workflow_id=workflow.workflow_id,
    )


HANDLERS = tagged((read_triggers, list_deliveries, fire_manually, fire_webhook, read_trigger_health), "Triggers")
