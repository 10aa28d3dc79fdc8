"""Where programs and GitHub call: no key of this server is asked for, each trigger says how its callers show that they may."""

import asyncio
import time
from typing import Any, Final

from litestar import get, post, route

from orchestrator.http.calls import HOOK, aside, at_workflow, incoming, refuse, since, submitted
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import nothing
from orchestrator.http.scope import Asked, path_name
from orchestrator.queue.commit import Queue
from orchestrator.triggers.calling import shared
from orchestrator.triggers.github.event import understood
from orchestrator.triggers.github.trigger import MOST_BYTES, SHARED, GitHub, admit
from orchestrator.triggers.telling import told
from orchestrator.triggers.web import PATH
from worker_client.contract.enums import DeliveryOutcome
from worker_client.contract.triggers import Delivered, GitHubDelivered, PublicWebhooks
from worker_client.errors import NotFound, OrchestratorError, Unauthorized

_CALLED: Final[dict[str, Any]] = described(Delivered, status=202, also=(200,), errors=(401, 409, 413, 429))


@route(
    "/public/webhook/workflow/{workflow_id:str}", http_method=["GET", "POST", "PUT", "PATCH", "DELETE"], public=True, opt=_CALLED
)
async def call_webhook(request: Asked) -> Answer:
    """Fire the webhook of a workflow, which chose the methods and how callers show that they may.

    202 once a run has begun, 200 when the call was known already or not wanted. A workflow that is not deployed is 404.
    """
    return await at_workflow(request, path_name(request, "workflow_id"), HOOK, known=False)


@post("/public/webhooks/github", public=True, opt=described(GitHubDelivered, status=202, also=(200,), errors=(401, 413, 429)))
async def call_github(request: Asked) -> Answer:
    """Take a delivery of GitHub, signed with the setting `github.webhook_secret`, for all triggers that wait for such.

    202 once it is kept, and the runs that it starts have begun or wait for what GitHub is asked for; 200 when nobody wants it.
    """
    began = time.perf_counter()
    state = request.app.state
    try:
        call = await incoming(request, MOST_BYTES)
        if not (secret := state.settings.github.webhook_secret):
            raise Unauthorized("this server takes no deliveries of GitHub: it has no APP_GITHUB_WEBHOOK_SECRET")
        await aside(call, admit, call, secret)
        event = await aside(call, understood, call)
    except OrchestratorError as refusal:
        await refuse(request, None, GitHub.name, refusal, began)
        raise
    queue: Queue = state.queue
    asks = bool(state.settings.github.app_id and state.settings.github.app_private_key)
    wanted = [] if event.name == "ping" else await queue.reads.triggered_by(GitHub.name)
    operations = shared(wanted, event, asks=asks, duration_ms=since(began))
    found = await asyncio.gather(*(submitted(request, op, HOOK) for op in operations), return_exceptions=True)
    outcomes = []
    for one in found:
        # One that was undeployed meanwhile waits for nothing.
        if isinstance(one, BaseException) and not isinstance(one, NotFound):
            raise one
        if not isinstance(one, BaseException):
            told(one.delivery, state.metrics)
            outcomes.append(DeliveryOutcome(one.delivery.outcome))
    shown = GitHubDelivered(delivery_id=event.delivery_id, event=event.name, outcomes=outcomes)
    goes_on = {DeliveryOutcome.FIRED, DeliveryOutcome.DRY_RUN, DeliveryOutcome.FETCHING}
    return answer(shown, 200 if goes_on.isdisjoint(outcomes) else 202)


@get("/public/webhooks/status", public=True, opt=described(PublicWebhooks))
async def read_public_webhooks(request: Asked) -> Answer:
    """Tell where calls come in."""
    nothing(request)
    settings = request.app.state.settings
    below = f"{settings.server.root_path}/api/v1"
    shown = PublicWebhooks(
        webhook=f"{below}{PATH}{{id}}", github=below + SHARED, github_enabled=bool(settings.github.webhook_secret)
    )
    return answer(shown)


HANDLERS = tagged((call_webhook, call_github, read_public_webhooks), "Webhooks")
