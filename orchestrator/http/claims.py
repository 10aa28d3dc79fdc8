"""Asking for work."""

from typing import cast

from litestar import get, post

from orchestrator.domain.outcomes import Claimed, Outcome
from orchestrator.http import intake, views
from orchestrator.http.body import read
from orchestrator.http.delivery import Delivery, unless_gone
from orchestrator.http.envelope import NO_STORE, Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import parse
from orchestrator.http.scope import HEAD, Asked, hold, logged_worker_id, principal, submit
from orchestrator.http.slots import slot
from orchestrator.queue.commit import Queue
from worker_client.contract import tasks as contract
from worker_client.contract.enums import Scope
from worker_client.errors import MethodNotAllowed

_NOBODY: list[object] = []


@get("/tasks/next", opt=described(contract.ClaimedTask | None, query=contract.ClaimNext, errors=(409,)), scope=Scope.WORK)
async def claim_next(request: Asked) -> Answer:
    """Claim the next task of one or more work directories.

    Held up to `wait` seconds when there is none; then `data` is null. The same `poll_id` again returns the same claim while its
    lease lives.
    """
    if HEAD in request.scope:
        raise MethodNotAllowed("HEAD is not possible at /tasks/next: what it claims nobody would get to see", allowed="GET")
    asked = parse(request, contract.ClaimNext)
    claimed = await _claim(request, asked, 1)
    if not claimed.grants:
        return answer(None, headers=NO_STORE)
    grant = claimed.grants[0]
    shown = views.claimed(claimed.views[grant.task_id], grant, request.app.state.secrets)
    return Delivery(shown, None, claimed.grants, request.app.state.queue, principal(request))


@post("/tasks/claim", opt=described(contract.ClaimedTasks, body=contract.ClaimMany, errors=(409,)), scope=Scope.WORK)
async def claim_many(request: Asked) -> Answer:
    """Claim up to `limit` tasks at once; no tasks when there was none within `wait`."""
    asked = await read(request, contract.ClaimMany)
    claimed = await _claim(request, asked, asked.limit)
    secrets = request.app.state.secrets
    shown = [views.claimed(claimed.views[grant.task_id], grant, secrets) for grant in claimed.grants]
    return Delivery({"tasks": shown}, {"tasks": _NOBODY}, claimed.grants, request.app.state.queue, principal(request))


async def _claim(request: Asked, asked: contract.ClaimNext, limit: int) -> Claimed:
    logged_worker_id.set(asked.worker_id)
    queue: Queue = request.app.state.queue
    op = intake.claim(asked, principal(request), limit)
    if asked.wait > 0:
        hold(request)
    claimed: Outcome = await submit(request, op)
    # Whoever may not ask in a directory is nobody there.
    queue.presence.seen(asked.worker_id, op.interest, asked.account, queue.now())
    if asked.wait > 0 and not claimed.shows:
        # Only one that is going to wait pays for being watched meanwhile; all are looked at before they are answered.
        with slot(request, "polls"), queue.presence.asking(asked.worker_id, op.interest, asked.account, queue.now()):
            claimed = await unless_gone(request, submit(request, op, wait_ms=round(asked.wait * 1000)))
    return cast("Claimed", claimed)


HANDLERS = tagged((claim_next, claim_many), "Work")
