"""Triggers: what starts workflows from outside, and what became of each delivery."""

from datetime import datetime

from msgspec import Struct

from worker_client.contract.enums import DeliveryOutcome
from worker_client.contract.fields import Json, JsonObject
from worker_client.contract.request import Paged, Request


class FireManually(Request, kw_only=True):
    """Fire the manual trigger of a workflow; one that wants it confirmed does so only with `confirm`."""

    input: JsonObject = {}
    confirm: bool = False


class Delivered(Struct, kw_only=True):
    """What became of a delivery."""

    id: int | None
    outcome: DeliveryOutcome
    reason: str | None
    run_id: int | None


class Delivery(Struct, kw_only=True):
    """One row of the history of a workflow's triggers. `trigger`: its place in the workflow; `key`: it is taken once.

    `facts`: what tells the delivery from others, such as the event, the sender or the subject; no secret, no body.
    """

    id: int
    workflow_id: str
    trigger: int
    type: str
    key: str | None
    at: datetime
    outcome: DeliveryOutcome
    reason: str | None
    run_id: int | None
    facts: Json
    duration_ms: int


class ListDeliveries(Paged, kw_only=True):
    """A page of deliveries, newest first."""

    outcome: DeliveryOutcome | None = None
    type: str | None = None


class TriggerStatus(Struct, kw_only=True):
    """A trigger of a workflow: what it waits for, and how it is. `settings`: as deployed, without secrets."""

    place: int
    type: str
    enabled: bool
    dry_run: bool
    active: bool
    settings: JsonObject
    path: str | None
    last_at: datetime | None
    last_outcome: DeliveryOutcome | None
    failing: str | None


class WorkflowTriggers(Struct, kw_only=True):
    """The triggers of a workflow."""

    workflow_id: str
    deployed: bool
    version: int | None
    triggers: list[TriggerStatus]
