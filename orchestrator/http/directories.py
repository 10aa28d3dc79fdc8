"""Work directories: what waits there, and what was set for them."""

import asyncio

from litestar import get, put
from msgspec import UNSET
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.budgets import micros
from orchestrator.domain.drafting import work_path
from orchestrator.domain.moments import perhaps
from orchestrator.domain.principal import PathScope
from orchestrator.domain.task import Head
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.intake import filtered, masked
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import page, place
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, principal, submit
from orchestrator.http.why import explained
from orchestrator.queue.commit import Queue
from orchestrator.store.reads.now import Waits
from orchestrator.store.reads.values import PRIORITIES
from worker_client.contract.directories import (
    Directory,
    ListDirectories,
    ListWaiting,
    NextTask,
    SetDirectory,
    WaitingDirectory,
)
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.errors import NotFound


@get("/directories", opt=described(Page[Directory], query=ListDirectories), scope=Scope.READ)
async def list_directories(request: Asked) -> Answer:
    """List directories that have tasks or settings, by path."""
    query = parse(request, ListDirectories)
    if query.work_path is not None:
        query = replace(query, work_path=work_path(query.work_path, "work_path"))
    queue: Queue = request.app.state.queue
    # One more than asked for tells whether there is another page.
    wanted = replace(query, limit=query.limit + 1, offset=place(query))
    found = await queue.reads.directories(wanted, principal(request).paths)
    return answer(page(found.items, query, total=found.total, total_exact=found.total_exact))


@get("/directories/waiting", opt=described(Page[WaitingDirectory], query=ListWaiting), scope=Scope.READ)
async def list_waiting(request: Asked) -> Answer:
    """List directories in which tasks wait, and say why where nothing moves.

    First those where no task runs: of each the task that is next, and what is in its way.
    """
    query = filtered(parse(request, ListWaiting))
    queue: Queue = request.app.state.queue
    visible = principal(request).paths
    found = await queue.reads.waiting_in(query, place(query), visible)
    items = await asyncio.gather(*(_waiting(waits, queue, visible) for waits in found.items[: query.limit]))
    return answer(page([*items, *found.items[query.limit :]], query, total=found.total, total_exact=found.total_exact))


async def _waiting(waits: Waits, queue: Queue, visible: PathScope) -> WaitingDirectory:
    head, age = waits.head, None if waits.oldest_at is None else max(0, queue.now() - waits.oldest_at) / 1000
    return WaitingDirectory(
        work_directory=waits.path,
        host=waits.host,
        waiting=waits.waiting,
        running=waits.running,
        oldest_waiting_at=perhaps(waits.oldest_at),
        oldest_waiting_seconds=age,
        next=None if head is None else _next(head, waits.prompt),
        why=None if head is None or waits.running else await explained(head, queue, visible),
    )


def _next(head: Head, prompt: str | None) -> NextTask:
    return NextTask(
        id=head.id,
        title=head.title,
        prompt=prompt,
        kind=head.kind,
        priority=PRIORITIES[head.priority],
        agent=head.agent or None,
    )


@put("/directories", opt=described(Directory, body=SetDirectory, errors=(403,)), scope=Scope.ADMIN)
async def set_directory(request: Asked) -> Answer:
    """Pause, resume or limit a directory and everything below it, or give it budgets per day (UTC).

    What is left out stays; `reason`, limits and budgets are taken away by null. Leases that are live go on; whoever spends past a
    budget is told to park with the next heartbeat.
    """
    body = await read(request, SetDirectory)
    path = work_path(body.work_directory, "work_directory")
    reason = body.reason if body.reason is UNSET else masked(body.reason, request.app.state.redaction)
    cost = body.daily_cost_usd
    op = ops.SetDirectory(
        path=path,
        host=body.host,
        paused=body.paused,
        reason=reason,
        max_running=body.max_running,
        daily_tokens=body.daily_tokens,
        daily_micros=cost if cost is UNSET or cost is None else micros(cost),
        daily_attempts=body.daily_attempts,
    )
    queue: Queue = request.app.state.queue
    await submit(request, op)
    directory = await queue.reads.directory(path, body.host, principal(request).paths)
    if directory is None:
        raise NotFound(f"there is no directory {path}", work_directory=path)
    return answer(directory)


HANDLERS = tagged((list_directories, list_waiting, set_directory), "Directories")
