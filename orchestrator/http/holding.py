"""Answers that are held until something happens to a task."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from litestar import get
from msgspec.structs import replace

from orchestrator.domain import budgets
from orchestrator.domain import operations as ops
from orchestrator.domain.accounts import usage_of
from orchestrator.domain.holding import DRAIN_REQUESTED
from orchestrator.domain.lifecycle import Verb
from orchestrator.domain.moves import lost
from orchestrator.domain.outcomes import Beat
from orchestrator.domain.task import Head, Lease, TaskView
from orchestrator.http import views
from orchestrator.http.delivery import unless_gone
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, hold, path_id, submit
from orchestrator.http.slots import full, slot
from orchestrator.http.tasks import seen
from orchestrator.queue.commit import Queue
from orchestrator.queue.feed import Watch
from orchestrator.store.protocol import FeedEvent
from worker_client.contract import tasks as contract
from worker_client.contract.enums import Directive, Scope, Status

T = TypeVar("T")
REST_S: Final = 0.5
Found = Callable[[TaskView, Sequence[FeedEvent]], Awaitable[T | None]]


@get("/tasks/{task_id:str}/status", opt=described(contract.TaskState, query=contract.WaitFor), scope=Scope.READ)
async def read_task_status(request: Asked) -> Answer:
    """Read a task's status; with `wait`, held until it is final."""
    task_id = path_id(request)
    asked = parse(request, contract.WaitFor)
    queue: Queue = request.app.state.queue
    with queue.feed.watch(task_id) as watch:
        view = await seen(request, task_id)
        if asked.wait > 0 and not view.head.status.final:
            view = await _until(request, watch, asked.wait, _ended) or await seen(request, task_id)
    return answer(views.state(view))


async def _ended(view: TaskView, _events: Sequence[FeedEvent]) -> TaskView | None:
    return view if view.head.status.final else None


async def directive(request: Asked, op: ops.Heartbeat, wait: float) -> Beat:
    """A heartbeat, held up to `wait` seconds or half of what is left of its lease until there is a directive.

    Raises LeaseLost when the lease ends meanwhile.
    """
    queue: Queue = request.app.state.queue
    with queue.feed.watch(op.task_id) as watch:
        beat = await submit(request, op)
        if not isinstance(beat, Beat):
            raise TypeError(f"{beat!r} is no outcome of a heartbeat")
        if beat.directive is not Directive.CONTINUE or beat.drain or full(request, "polls"):
            # Whoever holds a lease is never refused for how many others of its key wait.
            return beat

        async def told(view: TaskView, events: Sequence[FeedEvent]) -> Beat | None:
            if not _holds(view.head, op.lease):
                raise lost(view.head, Verb.HEARTBEAT, same=_latest(view.head) == Lease.parse(op.lease))
            if view.head.cancel_requested_at is not None:
                return replace(beat, directive=Directive.CANCEL)
            words = budgets.used_up(view.head.budget, usage_of(view.outputs.usage_now))
            if words is not None:
                return replace(beat, directive=Directive.PARK, reason=budgets.own(words))
            if any(event.type == DRAIN_REQUESTED for event in events):
                # Whether this worker is meant the rules tell.
                return await submit(request, op)  # type: ignore[no-any-return]
            return None

        # Not of what was asked for: a task's time-out, or an older and longer lease, may end it at another time.
        left = max(0, beat.lease_ends_at - queue.now())
        return await _until(request, watch, min(wait, left / 2000), told) or beat


def _latest(head: Head) -> Lease:
    return Lease(head.id, head.lease_no, head.nonce or "")


def _holds(head: Head, lease: str) -> bool:
    return head.status is Status.RUNNING and _latest(head) == Lease.parse(lease)


async def _until(request: Asked, watch: Watch, wait: float, found: Found[T]) -> T | None:
    """What `found` sees in the task after some of its events; None when `wait` seconds went by or the server drains."""
    hold(request)
    task_id = path_id(request)
    loop = asyncio.get_running_loop()
    end = loop.time() + wait

    async def look() -> T | None:
        while (left := end - loop.time()) > 0 and (events := await watch.next(left)):
            if (told := await found(await seen(request, task_id), events)) is not None:
                return told
        return None

    return await held(request, look)


async def held(request: Asked, waiting: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Wait as long as the client does. Raises RateLimited when too many of its key do."""
    hold(request)
    with slot(request, "polls"):
        await rest(request)
        return await unless_gone(request, asyncio.create_task(waiting()))


async def rest(request: Asked, most: float = REST_S) -> None:
    """A moment, if nothing is held any more: who asks again as soon as there is an answer would ask in a circle."""
    if request.app.state.queue.draining:
        await unless_gone(request, asyncio.create_task(asyncio.sleep(min(most, REST_S))))


HANDLERS = tagged((read_task_status,), "Tasks")
