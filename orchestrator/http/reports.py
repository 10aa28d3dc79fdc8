"""What workers say about the tasks that they hold."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from litestar import post
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.moments import moment
from orchestrator.domain.outcomes import Beat, Changed
from orchestrator.doors.redaction import Redaction
from orchestrator.doors.secrets import Secrets
from orchestrator.http import reported, views
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.holding import directive
from orchestrator.http.masking import masked
from orchestrator.http.openapi import described, tagged
from orchestrator.http.scope import Asked, path_id, principal, submit, submit_all
from orchestrator.http.tasks import changed
from orchestrator.queue.commit import Queue
from worker_client.contract import outcomes, reports
from worker_client.contract import tasks as contract
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import ErrorBody
from worker_client.errors import OrchestratorError

Item = TypeVar("Item", reports.HeartbeatItem, reports.CompleteItem, reports.FailItem)
Completion = TypeVar("Completion", bound=reports.Complete)

_REPORT = {"answer": contract.Task, "errors": (409,)}


class Refused(Struct):
    """An item that was refused."""

    error: ErrorBody


@post(
    "/tasks/{task_id:str}/heartbeat",
    opt=described(contract.HeartbeatAnswer, body=reports.Heartbeat, errors=(409,)),
    scope=Scope.WORK,
)
async def heartbeat(request: Asked) -> Answer:
    """Extend a lease and say what is new.

    With `wait` the answer is held until there is a directive, the worker is to drain or the lease ends, but not longer than half
    of what is left of it.
    """
    task_id = path_id(request)
    body = await read(request, reports.Heartbeat)
    op = await masked(request, reported.beat, task_id, body)
    if body.wait > 0:
        return _beat(await directive(request, op, body.wait))
    return _beat(await submit(request, op))


@post("/tasks/{task_id:str}/complete", opt=described(body=reports.Complete, body_optional=True, **_REPORT), scope=Scope.WORK)
async def complete_task(request: Asked) -> Answer:
    """End a task well.

    Without `lease`, `original_prompt` stands in for it: it must equal the prompt as delivered, on the task's first lease.
    """
    task_id = path_id(request)
    body = await read(request, reports.Complete, optional=True)
    body = await _as_stored(request, task_id, body)
    return await changed(request, await masked(request, reported.completion, task_id, body))


@post("/tasks/{task_id:str}/fail", opt=described(body=reports.Fail, **_REPORT), scope=Scope.WORK)
async def fail_task(request: Asked) -> Answer:
    """End an attempt badly: the task runs again after its backoff, or has failed for good."""
    task_id = path_id(request)
    body = await read(request, reports.Fail)
    return await changed(request, await masked(request, reported.failure, task_id, body))


@post("/tasks/{task_id:str}/release", opt=described(body=reports.Release, **_REPORT), scope=Scope.WORK)
async def release_task(request: Asked) -> Answer:
    """Give a task back unfinished; no attempt is counted."""
    task_id = path_id(request)
    body = await read(request, reports.Release)
    return await changed(request, await masked(request, reported.giving_back, task_id, body))


@post("/tasks/{task_id:str}/park", opt=described(body=reports.Park, **_REPORT), scope=Scope.WORK)
async def park_task(request: Asked) -> Answer:
    """Give a task back until something outside happens: a time, an answer, an approval; no attempt is counted."""
    task_id = path_id(request)
    body = await read(request, reports.Park)
    return await changed(request, await masked(request, reported.parking, task_id, body))


@post("/tasks/heartbeat", opt=described(outcomes.HeartbeatOutcomes, body=reports.Heartbeats), scope=Scope.WORK)
async def heartbeat_many(request: Asked) -> Answer:
    """Send up to 1000 heartbeats; one outcome each, in order. None is held."""
    body = await read(request, reports.Heartbeats)
    return await _each(request, body.items, reported.beat)


@post("/tasks/complete", opt=described(outcomes.TaskOutcomes, body=reports.Completions), scope=Scope.WORK)
async def complete_many(request: Asked) -> Answer:
    """Complete up to 1000 tasks; one outcome each, in order."""
    body = await read(request, reports.Completions)
    return await _each(request, [await _as_stored(request, item.id, item) for item in body.items], reported.completion)


@post("/tasks/fail", opt=described(outcomes.TaskOutcomes, body=reports.Failures), scope=Scope.WORK)
async def fail_many(request: Asked) -> Answer:
    """Fail up to 1000 tasks; one outcome each, in order."""
    body = await read(request, reports.Failures)
    return await _each(request, body.items, reported.failure)


async def _as_stored(request: Asked, task_id: int, body: Completion) -> Completion:
    """A completion whose `original_prompt` has the names of secrets again, in place of what was delivered."""
    secrets: Secrets = request.app.state.secrets
    if body.lease is not None or body.original_prompt is None or not secrets.names:
        return body
    queue: Queue = request.app.state.queue
    view = await queue.reads.task(task_id, principal(request).paths)
    if view is None or not view.head.secrets:
        return body
    same = body.original_prompt == secrets.delivered(view).inputs.prompt
    return replace(body, original_prompt=view.inputs.prompt if same else "")


async def _each(request: Asked, items: list[Item], operation: Callable[[int, Item, Redaction | None], ops.Operation]) -> Answer:
    """Submit all at once, so that they share a transaction; a refusal concerns its item alone."""
    operations = await masked(request, lambda redaction: [operation(item.id, item, redaction) for item in items])
    results = await asyncio.gather(*submit_all(request, operations), return_exceptions=True)
    return answer({"items": [_outcome(result) for result in results]})


def _outcome(result: object) -> object:
    match result:
        case Changed(view=view) if view is not None:
            return {"task": views.task(view)}
        case Beat():
            return {"task": _told(result)}
        case OrchestratorError():
            return Refused(result.body)
        case BaseException():
            raise result
        case _:
            raise TypeError(f"{result!r} is no outcome of a report")


def _told(beat: Beat) -> contract.HeartbeatAnswer:
    return contract.HeartbeatAnswer(
        directive=beat.directive, lease_expires_at=moment(beat.lease_ends_at), reason=beat.reason, drain=beat.drain
    )


def _beat(beat: Beat) -> Answer:
    return answer(_told(beat))


HANDLERS = tagged(
    (heartbeat, complete_task, fail_task, release_task, park_task, heartbeat_many, complete_many, fail_many), "Work"
)
