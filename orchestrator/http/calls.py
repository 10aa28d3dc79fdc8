"""Calls of triggers: only put into the queue, so that they are answered as fast as that."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final
from urllib.parse import parse_qsl

from orchestrator.domain.explain import nul
from orchestrator.domain.outcomes import Received
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Delivery
from orchestrator.domain.trigger_operations import Deliver
from orchestrator.http.body import whole
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.scope import HEAD, Asked, origin, trace
from orchestrator.queue.commit import Queue
from orchestrator.triggers.calling import Target, admitted, called_with, claimed, delivery, refused
from orchestrator.triggers.telling import told
from orchestrator.triggers.web import Incoming
from worker_client.contract.enums import DeliveryOutcome, Scope
from worker_client.contract.triggers import Delivered
from worker_client.errors import Conflict, NotFound, OrchestratorError, ValidationFailed

HOOK: Final = Principal(id="webhook", scopes=frozenset({Scope.SUBMIT}))
"""Who fires triggers without a key of this server."""
_LARGE: Final = 256 * 1024
_GOES_ON: Final = frozenset({DeliveryOutcome.FIRED, DeliveryOutcome.DRY_RUN, DeliveryOutcome.FETCHING})


async def at_workflow(request: Asked, workflow_id: str, by: Principal, *, known: bool) -> Answer:
    """Take a call for a workflow; `known`: whoever asks has a key of this server, and needs to show nothing else.

    Raises NotFound alike for a workflow that there is not, that is not deployed or that has no such trigger.
    """
    began = time.perf_counter()
    state = request.app.state
    queue: Queue = state.queue
    workflow = await queue.reads.triggered(workflow_id, by.paths)
    found = [] if workflow is None else claimed(workflow, dict(headers(request)))
    if not found:
        path = request.scope["path"][:200]
        raise NotFound(f"there is nothing at {path}: /schema lists all there is", path=path)
    target = found[0]
    try:
        target = (found := called_with(found, "HEAD" if HEAD in request.scope else request.scope["method"]))[0]
        most = max(one.trigger.most_bytes(one.settings, state.settings.limits.max_webhook_bytes) for one in found)
        call = await incoming(request, most)
        target = target if known else await aside(call, admitted, found, call, state.sealing.revealed)
        taken = await aside(call, target.trigger.take, target.settings, call)
    except OrchestratorError as refusal:
        await refuse(request, target, target.trigger.name, refusal, began)
        raise
    row = await deliver(request, delivery(target, taken, since(began)), by)
    return outcome_of(row)


def outcome_of(row: Delivery) -> Answer:
    """The answer to whoever has called. Raises Conflict when nothing could come of it."""
    outcome = DeliveryOutcome(row.outcome)
    if outcome is DeliveryOutcome.FAILED:
        raise Conflict(f"no run could begin: {row.reason}", delivery_id=row.id)
    shown = Delivered(id=row.id, outcome=outcome, reason=row.reason, run_id=row.run_id)
    return answer(shown, 202 if outcome in _GOES_ON else 200)


def headers(request: Asked) -> tuple[tuple[str, str], ...]:
    """The headers, with names in lower case."""
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.scope["headers"])


async def incoming(request: Asked, most: int) -> Incoming:
    """A call with its body, of so many bytes at the most. Raises PayloadTooLarge and ValidationFailed."""
    query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    raw = await whole(request, most)
    if (field := nul(query, "query")) is not None:
        raise ValidationFailed(f"`{field}` contains a NUL byte: leave it out", field=field)
    return Incoming(method=request.scope["method"], headers=headers(request), query=query, raw=raw)


async def aside(call: Incoming, function: Any, *facts: Any) -> Any:
    """What comes of a function; of a large body beside the event loop, on which others wait."""
    if len(call.raw) <= _LARGE:
        return function(*facts)
    return await asyncio.to_thread(function, *facts)


def submitted(request: Asked, op: Deliver, by: Principal) -> Awaitable[Any]:
    """Hand a delivery in."""
    queue: Queue = request.app.state.queue
    return queue.submit(op, by, trace(request), origin=origin(request))


async def deliver(request: Asked, op: Deliver, by: Principal) -> Delivery:
    """Hand a delivery in, and tell of it once it is on disk."""
    outcome: Received = await submitted(request, op, by)
    told(outcome.delivery, request.app.state.metrics)
    return outcome.delivery


async def refuse(request: Asked, target: Target | None, type: str, refusal: OrchestratorError, began: float) -> None:
    """Keep in the history that a call was refused, or count it for the next time that this is kept."""
    state = request.app.state
    state.metrics.delivered(type, str(DeliveryOutcome.REFUSED))
    op = state.refusals.one(refused(target, type, refusal, since(began)))
    if op is not None:
        try:
            await submitted(request, op, HOOK)
        except OrchestratorError:
            # The caller is told why it was refused, and not that nobody could write that down.
            return


def since(began: float) -> int:
    """Milliseconds that have gone by."""
    return round((time.perf_counter() - began) * 1000)
