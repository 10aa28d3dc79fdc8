"""Triggers: what starts workflows from outside, and what became of each delivery."""

from worker_client.contract import triggers
from worker_client.contract.envelope import Page
from worker_client.contract.fields import JsonObject
from worker_client.endpoints.call import API, Call, named, post, read


def trigger_status(workflow_id: str) -> Call[triggers.WorkflowTriggers]:
    """The triggers of a workflow, and how they are."""
    return read(_triggers(workflow_id, "status"), triggers.WorkflowTriggers)


def fire_manually(workflow_id: str, body: triggers.FireManually) -> Call[triggers.Delivered]:
    """Fire the manual trigger of a workflow."""
    return post(_triggers(workflow_id, "manual"), triggers.Delivered, body)


def fire_webhook(workflow_id: str, payload: JsonObject) -> Call[triggers.Delivered]:
    """Fire the webhook of a workflow as its callers do, with a key of the server in place of what they show."""
    return post(_triggers(workflow_id, "webhook"), triggers.Delivered, payload)


def trigger_health() -> Call[triggers.TriggerHealth]:
    """How the triggers of all deployed workflows are."""
    return read(f"{API}/triggers/health", triggers.TriggerHealth)


def public_webhooks() -> Call[triggers.PublicWebhooks]:
    """Where calls from outside come in."""
    return read(f"{API}/public/webhooks/status", triggers.PublicWebhooks)


def list_deliveries(workflow_id: str, query: triggers.ListDeliveries) -> Call[Page[triggers.Delivery]]:
    """A page of what reached the triggers of a workflow, newest first."""
    return read(_triggers(workflow_id, "deliveries"), Page[triggers.Delivery], query)


def _triggers(workflow_id: str, rest: str) -> str:
    return f"{API}/triggers/workflows/{named(workflow_id)}/{rest}"
