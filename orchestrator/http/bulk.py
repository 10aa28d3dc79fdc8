"""Changing all tasks of a filter."""

import asyncio
from collections.abc import Callable

from litestar import post

from orchestrator.domain import operations as ops
from orchestrator.http import intake
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, principal, submit_all
from orchestrator.http.searching import searched
from orchestrator.queue.commit import Queue
from worker_client.contract import tasks as contract
from worker_client.contract.enums import FINAL, Scope, Status
from worker_client.errors import Conflict, NotFound, ValidationFailed

_AT_ONCE = 500
_CRITERIA = tuple(name for name in contract.TaskFilter.__struct_fields__ if name != "recursive")
_UNDER_WAY = frozenset(Status) - FINAL
_FILTER = described(contract.Counted, query=contract.TaskFilter, body=contract.TaskFilter, body_optional=True)


@post("/tasks/retry", opt=_FILTER, scope=Scope.SUBMIT)
async def retry_many(request: Asked) -> Answer:
    """Begin all tasks of a filter again; those that failed, when it names no status.

    The filter stands in the query or in the body, and has at least one criterion.
    """
    return await _all(request, frozenset({Status.FAILED}), lambda task_id: ops.Retry(task_id=task_id))


@post("/tasks/cancel", opt=_FILTER, scope=Scope.SUBMIT)
async def cancel_many(request: Asked) -> Answer:
    """Cancel all tasks of a filter; all that have not ended, when it names no status.

    The filter stands in the query or in the body, and has at least one criterion.
    """
    return await _all(request, _UNDER_WAY, lambda task_id: ops.Cancel(task_id=task_id))


async def _all(request: Asked, unless_said: frozenset[Status], operation: Callable[[int], ops.Operation]) -> Answer:
    where = await _filter(request)
    statuses = unless_said if where.status is None else frozenset(where.status)
    queue: Queue = request.app.state.queue
    visible = principal(request).paths
    count = last = 0
    while ids := await searched(queue, queue.reads.task_ids(where, visible, statuses=statuses, after=last, limit=_AT_ONCE)):
        results = await asyncio.gather(*submit_all(request, map(operation, ids)), return_exceptions=True)
        for result in results:
            # In between others may have changed or removed it: then it is no longer one of those that were meant.
            if isinstance(result, BaseException) and not isinstance(result, Conflict | NotFound):
                raise result
            count += not isinstance(result, BaseException)
        last = ids[-1]
    return answer(contract.Counted(count=count))


async def _filter(request: Asked) -> contract.TaskFilter:
    nothing = contract.TaskFilter()
    body = await read(request, contract.TaskFilter, optional=True, query=True)
    query = parse(request, contract.TaskFilter)
    if nothing not in (body, query):
        raise ValidationFailed("send the filter in the query or in the body, not both", field="")
    where = body if query == nothing else query
    # A client whose variable is empty must not change every task there is.
    if not any(getattr(where, name) for name in _CRITERIA):
        raise ValidationFailed(
            "give at least one criterion, for example `work_path`; a `status` that lists all statuses means all tasks", field=""
        )
    return intake.filtered(where)


HANDLERS = tagged((retry_many, cancel_many), "Tasks")
