"""Triggers: what starts workflows from outside, how each is, and what became of what reached it."""

import asyncio
from typing import Final

from orchestrator.dashboard.asking import perhaps
from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.triggers import ListDeliveries, WorkflowTriggers
from worker_client.contract.workflows import ListWorkflows
from worker_client.errors import OrchestratorError

_EVENTS: Final = ("trigger.*", "workflow.*", "run.started")
_MOST: Final = 50


async def _list(visit: Visit) -> Facts:
    query = ListWorkflows(deployed=True, limit=_MOST, offset=visit.number("offset"))
    deployed = await visit.ask(endpoints.list_workflows(query))
    states = await asyncio.gather(*(_state(visit, one.id) for one in deployed.items))
    return {"found": deployed, "rows": list(zip(deployed.items, states, strict=True))}


async def _state(visit: Visit, workflow_id: str) -> WorkflowTriggers | None:
    # It may have been deleted since the list was asked for.
    found = await perhaps(visit.ask(endpoints.trigger_status(workflow_id)))
    return None if isinstance(found, OrchestratorError) else found


async def _health(visit: Visit) -> Facts:
    health, places = await asyncio.gather(visit.ask(endpoints.trigger_health()), visit.ask(endpoints.public_webhooks()))
    return {"health": health, "places": places}


async def _deliveries(visit: Visit) -> Facts:
    """The latest of one workflow, or of all that are deployed."""
    chosen = visit.one("workflow_id")
    if chosen:
        flows = [await visit.ask(endpoints.get_workflow(chosen))]
    else:
        flows = (await visit.ask(endpoints.list_workflows(ListWorkflows(deployed=True, limit=_MOST)))).items
    query = ListDeliveries(limit=25)
    pages = await asyncio.gather(*(visit.ask(endpoints.list_deliveries(flow.id, query)) for flow in flows))
    latest = sorted((one for page in pages for one in page.items), key=lambda one: one.at, reverse=True)
    return {"deliveries": latest[:25], "names": {flow.id: flow.name for flow in flows}, "chosen": chosen}


LIST: Final = Page(
    "triggers",
    panels=(
        Panel("triggers-health", _health, on=_EVENTS),
        Panel("triggers-list", _list, on=_EVENTS),
        Panel("triggers-deliveries", _deliveries, on=_EVENTS),
    ),
)
