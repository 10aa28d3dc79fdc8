"""Asking for work."""

from collections.abc import Callable
from typing import Final

from litestar import get, post
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from orchestrator.domain.operations import Claim
from orchestrator.domain.outcomes import Claimed, Grant
from orchestrator.domain.task import TaskView
from orchestrator.http import intake, views
from orchestrator.http.body import read
from orchestrator.http.delivery import Delivery, unless_gone
from orchestrator.http.envelope import NO_STORE, answer
from orchestrator.http.holding import rest
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import parse
from orchestrator.http.scope import HEAD, Asked, hold, logged_worker_id, principal, submit
from orchestrator.http.slots import slot
from orchestrator.queue.commit import Queue
from worker_client.contract import enums
from worker_client.contract import tasks as contract
from worker_client.errors import MethodNotAllowed

Shown = Callable[[Asked, Claimed], ASGIResponse]
_NOBODY: Final[list[object]] = []
_DRAIN: Final = (b"orchestrator-drain", b"true")
"""Beside `data: null`, for a worker that is to ask no more."""


@get("/tasks/next", opt=described(contract.ClaimedTask | None, query=contract.ClaimNext, errors=(409,)), scope=enums.Scope.WORK)
async def claim_next(request: Asked) -> ASGIResponse:
    """Claim the next task of one or more work directories.

    Held up to `wait` seconds when there is none; then `data` is null, with the header `Orchestrator-Drain: true` for a worker
    that is to ask no more. The same `poll_id` again returns the same claim while its lease lives.
    """
    if HEAD in request.scope:
        raise MethodNotAllowed("HEAD is not possible at /tasks/next: what it claims nobody would get to see", allowed="GET")
    return await _claim(request, parse(request, contract.ClaimNext), 1, _next)


@post("/tasks/claim", opt=described(contract.ClaimedTasks, body=contract.ClaimMany, errors=(409,)), scope=enums.Scope.WORK)
async def claim_many(request: Asked) -> ASGIResponse:
    """Claim up to `limit` tasks at once; no tasks when there was none within `wait`, or the worker is to `drain`."""
    asked = await read(request, contract.ClaimMany)
    return await _claim(request, asked, asked.limit, _many)


async def _claim(request: Asked, asked: contract.ClaimNext, limit: int, shown: Shown) -> ASGIResponse:
    logged_worker_id.set(asked.worker_id)
    queue: Queue = request.app.state.queue
    op = intake.claim(asked, principal(request), limit)
    if asked.wait > 0:
        hold(request)
    claimed: Claimed = await submit(request, op)
    # Whoever may not ask in a directory is nobody there.
    queue.presence.seen(asked.worker_id, op.interest, asked.account, queue.now())
    if asked.wait > 0 and not claimed.shows and not claimed.drain:
        return Parked(request, op, round(asked.wait * 1000), shown)
    return shown(request, claimed)


def _next(request: Asked, claimed: Claimed) -> ASGIResponse:
    if not claimed.grants:
        return answer(None, headers=(*NO_STORE, _DRAIN) if claimed.drain else NO_STORE)
    grant = claimed.grants[0]
    return Delivery(
        _shown(request, claimed.views[grant.task_id], grant), None, claimed.grants, request.app.state.queue, principal(request)
    )


def _many(request: Asked, claimed: Claimed) -> ASGIResponse:
    shown = [_shown(request, claimed.views[grant.task_id], grant) for grant in claimed.grants]
    data, nothing = {"tasks": shown, "drain": claimed.drain}, {"tasks": _NOBODY, "drain": claimed.drain}
    return Delivery(data, nothing, claimed.grants, request.app.state.queue, principal(request))


def _shown(request: Asked, view: TaskView, grant: Grant) -> views.Shown:
    state = request.app.state
    shown = views.claimed(view, grant, state.secrets)
    if state.traces is not None:
        shown["traceparent"] = state.traces.claimed(view.head)
    return shown


class Parked(ASGIResponse):
    """The answer of a claim that found nothing yet: what it took to ask is gone from memory while it waits."""

    __slots__ = ("_op", "_request", "_shown", "_wait_ms")

    def __init__(self, request: Asked, op: Claim, wait_ms: int, shown: Shown) -> None:
        self._request = request
        self._op = op
        self._wait_ms = wait_ms
        self._shown = shown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then write. Raises RateLimited when too many of its key wait."""
        request, op = self._request, self._op
        queue: Queue = request.app.state.queue
        # Only one that is going to wait pays for being watched meanwhile; all are looked at before they are answered.
        with slot(request, "polls"), queue.presence.asking(op.worker_id, op.interest, op.account, queue.now()):
            await rest(request, self._wait_ms / 1000)
            claimed: Claimed = await unless_gone(request, submit(request, op, wait_ms=self._wait_ms))
        await self._shown(request, claimed)(scope, receive, send)


HANDLERS = tagged((claim_next, claim_many), "Work")
