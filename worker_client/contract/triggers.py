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

    `times`: how many the row stands for, the last of them `at`: those that are refused or come again share rows. `facts`: what
    tells the delivery from others, such as the event, the sender or the subject; no secret, no body.
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
    times: int


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


class GitHubDelivered(Struct, kw_only=True):
    """What became of a delivery of GitHub: `outcomes` for each trigger that wants such, in no order."""

    delivery_id: str
    event: str
    outcomes: list[DeliveryOutcome]


class FailingTrigger(Struct, kw_only=True):
    """A trigger that cannot do its work, and why."""

    workflow_id: str
    trigger: int
    type: str
    failing: str


class TriggerHealth(Struct, kw_only=True):
    """How deployed triggers are: how many there are by type, which cannot do their work, and what waits for GitHub's answers.

    `refused_at`: when a call of GitHub was refused last, whose signature did not fit.
    """

    healthy: bool
    types: list[str]
    deployed: dict[str, int]
    failing: list[FailingTrigger]
    fetching: int
    refused_at: datetime | None


class PublicWebhooks(Struct, kw_only=True):
    """Where calls come in; `github`: whether deliveries of GitHub are taken at the path for all."""

    webhook: str
    github: str
    github_enabled: bool
