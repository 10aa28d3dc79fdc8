"""What became of a task, and the graph of its dependencies."""

from collections.abc import Iterator

from litestar import get

from orchestrator.domain.moments import millis
from orchestrator.domain.task import Millis, TaskView
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.events import shown_event, shown_to
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, path_id, principal
from orchestrator.http.tasks import missing, seen
from worker_client.contract.attempts import Attempt
from worker_client.contract.enums import Scope
from worker_client.contract.histories import ReadGraph, ReadTaskEvents, TaskEvents, TaskGraph


@get("/tasks/{task_id:str}/events", opt=described(TaskEvents, query=ReadTaskEvents), scope=Scope.READ)
async def read_task_events(request: Asked) -> Answer:
    """Read what happened to a task: its last events, in their order.

    Of a task that lived through more than 100,000 events of others, only the beginning, the end, and the times at which its
    attempts began and ended are looked at.
    """
    task_id = path_id(request)
    query, by = parse(request, ReadTaskEvents), principal(request)
    view = await seen(request, task_id)
    reads = request.app.state.queue.reads
    attempts = await reads.attempts_of(task_id, by.paths) or []
    found, complete = await reads.events_of(task_id, set(_times(view, attempts)), query.limit, by.paths)
    shown, epoch = shown_to(by), request.app.state.store.epoch
    return answer({"items": [shown_event(epoch, shown(event)) for event in found], "complete": complete})


def _times(view: TaskView, attempts: list[Attempt]) -> Iterator[Millis]:
    """When something happened to a task."""
    head = view.head
    for at in (head.created_at, head.updated_at, head.started_at, head.finished_at, head.cancel_requested_at):
        if at is not None:
            yield at
    for attempt in attempts:
        yield millis(attempt.started_at)
        if attempt.ended_at is not None:
            yield millis(attempt.ended_at)


@get("/tasks/{task_id:str}/graph", opt=described(TaskGraph, query=ReadGraph), scope=Scope.READ)
async def read_task_graph(request: Asked) -> Answer:
    """Read a task with what it depends on, directly or not, and what depends on it; tasks that are gone are not in it."""
    task_id = path_id(request)
    query = parse(request, ReadGraph)
    found = await request.app.state.queue.reads.graph(task_id, query.depth, query.limit, principal(request).paths)
    if found is None:
        raise missing(task_id)
    return answer(found)


HANDLERS = tagged((read_task_events, read_task_graph), "Tasks")
