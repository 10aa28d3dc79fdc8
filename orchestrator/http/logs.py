"""The output of tasks."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from litestar import get, post
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Logged
from orchestrator.http import reported
from orchestrator.http.body import read
from orchestrator.http.downloads import Download
from orchestrator.http.envelope import Answer, answer, text
from orchestrator.http.holding import held
from orchestrator.http.masking import masked
from orchestrator.http.openapi import TEXT, described, tagged
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, path_id, principal, submit
from orchestrator.http.tasks import missing
from orchestrator.queue.commit import Queue
from worker_client.contract import logs as output
from worker_client.contract.enums import Scope
from worker_client.contract.logs import LogPage

_AT_ONCE: Final = 2_000
"""Lines; of long ones the store gives fewer."""


@post("/tasks/{task_id:str}/logs", opt=described(output.Appended, body=output.AppendLogs, errors=(409,)), scope=Scope.WORK)
async def append_logs(request: Asked) -> Answer:
    """Store lines of output.

    With `first_line`, their number within the lease, lines that are stored already are ignored.
    """
    task_id = path_id(request)
    body = await read(request, output.AppendLogs)
    lines = await masked(request, reported.log_lines, body)
    op = ops.AppendLogs(task_id=task_id, lease=body.lease, lines=lines, first_line=body.first_line)
    logged: Logged = await submit(request, op)
    return answer(output.Appended(stored=logged.stored, next_line=logged.next_line))


@get("/tasks/{task_id:str}/logs", opt=described(output.LogPage, query=output.ReadLogs, media=(TEXT,)), scope=Scope.READ)
async def read_logs(request: Asked) -> Answer | Download:
    """Read the output after the line numbered `after`.

    With `wait`, held until there are new lines or the task has ended. `format=text` gives the bare lines; the header
    `X-Next-After` then says where to go on. `download=true` gives all lines at once, however many, as a file of text.
    """
    task_id = path_id(request)
    asked = parse(request, output.ReadLogs)
    if asked.tail is not None:
        last = await request.app.state.queue.reads.last_line(task_id, principal(request).paths)
        asked = replace(asked, after=max(asked.after, last - asked.tail))
    if asked.download:
        return await downloaded(request, task_id, asked)
    page = await _page(request, task_id, asked)
    if asked.wait > 0 and not page.lines and not page.final:
        page = await held(request, lambda: _following(request, task_id, asked))
    if asked.format == "json":
        return answer(page)
    plain = text(_plain(page))
    plain.raw_headers.append((b"x-next-after", b"%d" % page.next_after))
    return plain


async def downloaded(request: Asked, task_id: int, asked: output.ReadLogs) -> Download:
    """All lines that there are by now, as a file."""
    asked = replace(asked, limit=_AT_ONCE)
    # Asked before anything is answered, so that there is an answer for who may not see it.
    first = await _page(request, task_id, asked)
    last = await request.app.state.queue.reads.last_line(task_id, principal(request).paths)
    return Download(request, f"task-{task_id}.log", _pieces(request, task_id, asked, first, last))


async def _following(request: Asked, task_id: int, asked: output.ReadLogs) -> LogPage:
    """The next lines, as soon as there are some; whatever there is when the time is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + asked.wait
    queue: Queue = request.app.state.queue
    feed = queue.feed
    with queue.bells.listen(task_id) as bell, feed.watch(task_id) as watch:
        while True:
            page = await _page(request, task_id, asked)
            left = end - loop.time()
            if page.lines or page.final or left <= 0 or feed.draining:
                return page
            causes = [asyncio.ensure_future(bell.wait()), asyncio.ensure_future(watch.next(left))]
            try:
                await asyncio.wait(causes, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for cause in causes:
                    cause.cancel()
            bell.clear()


async def _pieces(request: Asked, task_id: int, asked: output.ReadLogs, page: LogPage, last: int) -> AsyncGenerator[bytes, None]:
    """What there was when it was asked for, one page after the other: a task that writes on would have no end."""
    while page.lines:
        yield _plain(page).encode()
        if page.next_after >= last:
            return
        page = await _page(request, task_id, replace(asked, after=page.next_after))


def _plain(page: LogPage) -> str:
    return "".join(f"{line.text}\n" for line in page.lines)


async def _page(request: Asked, task_id: int, asked: output.ReadLogs) -> LogPage:
    page: LogPage | None = await request.app.state.queue.reads.logs(task_id, asked.after, asked.limit, principal(request).paths)
    if page is None:
        raise missing(task_id)
    return page


@get("/tasks/last-lines", opt=described(list[output.LastLine], query=output.ReadLastLines), scope=Scope.READ)
async def read_last_lines(request: Asked) -> Answer:
    """Read the last line of output of each of several tasks.

    Those that have put out nothing, or that are not there, are left out.
    """
    asked = parse(request, output.ReadLastLines)
    return answer(await request.app.state.queue.reads.last_output(asked.task_id, principal(request).paths))


HANDLERS = tagged((append_logs, read_logs, read_last_lines), "Logs")
