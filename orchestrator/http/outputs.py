"""The output of a task as a whole: what it consists of, searching it, and all of it as a file."""

import asyncio
from typing import Final

from litestar import get

from orchestrator.http.downloads import Download
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.logs import downloaded
from orchestrator.http.openapi import TEXT, described, tagged
from orchestrator.http.query import nothing, parse
from orchestrator.http.scope import Asked, path_id, principal
from orchestrator.http.tasks import seen
from orchestrator.queue.commit import Queue
from worker_client.contract.enums import Scope
from worker_client.contract.logs import LogHits, LogOutline, ReadLogs, SearchLogs

_SEARCH_S: Final = 1.0
"""One call searches no longer: its answer says where to go on."""
_AT_ONCE: Final = 5000


@get("/tasks/{task_id:str}/logs/outline", opt=described(LogOutline), scope=Scope.READ)
async def read_log_outline(request: Asked) -> Answer:
    """Read how much output a task has, by its leases."""
    nothing(request)
    task_id = path_id(request)
    await seen(request, task_id)
    reads = request.app.state.queue.reads
    return answer(
        LogOutline(
            last_line=await reads.last_line(task_id, principal(request).paths),
            leases=await reads.log_leases(task_id),
        )
    )


@get("/tasks/{task_id:str}/logs/search", opt=described(LogHits, query=SearchLogs), scope=Scope.READ)
async def search_logs(request: Asked) -> Answer:
    """Search the output of a task; for a second at the most, then `complete` is false and `next_after` says where to go on."""
    task_id = path_id(request)
    query = parse(request, SearchLogs)
    await seen(request, task_id)
    queue: Queue = request.app.state.queue
    last = await queue.reads.last_line(task_id, principal(request).paths)
    loop = asyncio.get_running_loop()
    end = loop.time() + _SEARCH_S
    found: list[int] = []
    at = query.after
    while at < last and len(found) < query.limit and loop.time() < end:
        until = min(last, at + _AT_ONCE)
        hits = await queue.reads.log_hits(task_id, query.q, at, until, query.limit - len(found))
        found += hits
        at = hits[-1] if len(found) == query.limit else until
    return answer(LogHits(lines=found, next_after=at, complete=at >= last))


@get("/tasks/{task_id:str}/logs/download", opt=described(None, media=(TEXT,)), scope=Scope.READ)
async def download_logs(request: Asked) -> Download:
    """Read all output of a task so far, as a file of text."""
    nothing(request)
    return await downloaded(request, path_id(request), ReadLogs())


HANDLERS = tagged((read_log_outline, search_logs, download_logs), "Logs")
