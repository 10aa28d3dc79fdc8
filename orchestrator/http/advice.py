"""Advice: why a task failed, and what to change about the whole."""

from litestar import get
from msgspec.structs import replace

from orchestrator.domain.drafting import work_path
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import part
from orchestrator.http.query import nothing, parse
from orchestrator.http.scope import Asked, path_id, principal
from orchestrator.http.tasks import seen
from worker_client.contract.advice import Advice, ListAdvice, TaskAdvice
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page


@get("/advice", opt=described(Page[Advice], query=ListAdvice), scope=Scope.READ)
async def list_advice(request: Asked) -> Answer:
    """Say what to change about the whole, the heaviest first: schedules, directories, time-outs, workers, costs.

    Rests on the latest 2,000 attempts of the last day and as many of the week before, and on how things stand.
    """
    from orchestrator.http.advising import of_all  # noqa: PLC0415 - its texts and rules take memory, and few ask

    query = parse(request, ListAdvice)
    if query.work_path is not None:
        query = replace(query, work_path=[work_path(path, "work_path") for path in query.work_path])
    state = request.app.state
    return answer(part(await of_all(state.queue, query, principal(request).paths, state.store.wall()), query))


@get("/tasks/{task_id:str}/advice", opt=described(TaskAdvice), scope=Scope.READ)
async def advise_on_task(request: Asked) -> Answer:
    """Say why a task failed, with the evidence and what to do.

    By its error, the last 200 lines of the attempt, its other attempts, and the latest 200 tasks of its directory.
    """
    from orchestrator.http.advising import of_task  # noqa: PLC0415 - its texts and rules take memory, and few ask

    nothing(request)
    view = await seen(request, path_id(request))
    return answer(await of_task(request.app.state.queue, view.head, principal(request).paths))


HANDLERS = tagged((list_advice, advise_on_task), "Advice")
