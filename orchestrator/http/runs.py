"""Runs of workflows: looking at them, waiting for their end, cancelling, resuming."""

import asyncio

from litestar import get, post

from orchestrator.domain import flow_operations as flow
from orchestrator.http import flow_views as views
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.holding import held
from orchestrator.http.intake import masked
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import listed
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, path_id, principal, submit
from orchestrator.http.tasks import NoBody
from orchestrator.queue.commit import Queue
from orchestrator.store.reads.flows import RunView
from worker_client.contract import workflows as contract
from worker_client.contract.enums import RunStatus, Scope
from worker_client.contract.envelope import Page
from worker_client.contract.tasks import Reason, WaitFor
from worker_client.errors import NotFound


@get("/runs", opt=described(Page[contract.Run], query=contract.ListRuns), scope=Scope.READ)
async def list_runs(request: Asked) -> Answer:
    """List runs, newest first; their steps have no results, and those that nothing was done about are left out."""
    query = parse(request, contract.ListRuns)
    found = await _queue(request).reads.runs(query, principal(request).paths)
    return answer(listed(found, query, [views.brief(view) for view in found.items]))


@get("/runs/{run_id:str}", opt=described(contract.Run, query=WaitFor), scope=Scope.READ)
async def get_run(request: Asked) -> Answer:
    """Read a run with its steps and their results; with `wait`, held until it has ended."""
    run_id = path_id(request, "run_id")
    asked = parse(request, WaitFor)
    if asked.wait > 0:
        await _until_ended(request, run_id, asked.wait)
    return answer(views.run(await seen(request, run_id)))


@post(
    "/runs/{run_id:str}/cancel",
    opt=described(contract.Run, body=Reason, body_optional=True, errors=(409,)),
    scope=Scope.SUBMIT,
)
async def cancel_run(request: Asked) -> Answer:
    """End a run, and cancel its tasks; those that run are asked to stop."""
    run_id = path_id(request, "run_id")
    body = await read(request, Reason, optional=True)
    await submit(request, flow.CancelRun(run_id=run_id, reason=masked(body.reason, request.app.state.redaction)))
    return answer(views.run(await seen(request, run_id)))


@post(
    "/runs/{run_id:str}/resume",
    opt=described(contract.Run, body=NoBody, body_optional=True, errors=(409,)),
    scope=Scope.SUBMIT,
)
async def resume_run(request: Asked) -> Answer:
    """Go on with a run that failed or was cancelled.

    Only steps that did not complete, and what depends on them, run again; completed tasks keep their results.
    """
    run_id = path_id(request, "run_id")
    await read(request, NoBody, optional=True)
    await submit(request, flow.ResumeRun(run_id=run_id))
    return answer(views.run(await seen(request, run_id)))


async def seen(request: Asked, run_id: int) -> RunView:
    """A run that the caller may see. Raises NotFound."""
    view = await _queue(request).reads.run(run_id, principal(request).paths)
    if view is None:
        raise _missing(run_id)
    return view


async def _until_ended(request: Asked, run_id: int, wait: float) -> None:
    """Wait until a run has ended, `wait` seconds went by, or the server drains. Raises NotFound."""
    loop = asyncio.get_running_loop()
    end = loop.time() + wait
    queue = _queue(request)

    async def ended() -> bool:
        status = await queue.reads.run_status(run_id, principal(request).paths)
        if status is None:
            raise _missing(run_id)
        return status != RunStatus.RUNNING

    with queue.feed.watch_run(run_id) as watch:

        async def look() -> None:
            while (left := end - loop.time()) > 0 and (events := await watch.next(left)):
                if any(event.type != "run.step" for event in events) and await ended():
                    return

        if not await ended():
            await held(request, look)


def _missing(run_id: int) -> NotFound:
    return NotFound(f"there is no run {run_id}", run_id=run_id)


def _queue(request: Asked) -> Queue:
    queue: Queue = request.app.state.queue
    return queue


HANDLERS = tagged((list_runs, get_run, cancel_run, resume_run), "Workflows")
