"""Tasks as people look at them: one, a page, ids for a bulk call, the output."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from orchestrator.domain.moments import moment
from orchestrator.domain.principal import PathScope
from orchestrator.domain.task import TaskView
from orchestrator.store.reads.conditions import asked, within
from orchestrator.store.reads.driving import Selection, select
from orchestrator.store.reads.searching import Search, SearchReads
from orchestrator.store.reads.values import Listing, cursor_at, place_of, total_of
from orchestrator.store.rows import CUTS, EXCERPT_COLUMNS, VIEW_COLUMNS, VIEW_TABLES, view_of
from orchestrator.store.veiling import parents_of, veiled
from worker_client.contract.enums import LogStream, Status
from worker_client.contract.logs import LogPage, StoredLogLine
from worker_client.contract.tasks import ListTasks, TaskFilter
from worker_client.errors import Overloaded, ValidationFailed

_VIEW = f"SELECT {VIEW_COLUMNS} FROM {VIEW_TABLES}"
_LINES = "SELECT number, lease_no, at, stream, text FROM task_logs WHERE task_id = ? AND number > ? ORDER BY number LIMIT ?"
_LINES_FIRST = 50
_LINES_AT_ONCE = 500
_PAGE_CHARACTERS = 4_000_000


class TaskReads(SearchReads):
    """Queries for tasks."""

    async def task(self, task_id: int, visible: PathScope) -> TaskView | None:
        """A whole task; None when there is none or it cannot be seen."""
        scope = within(visible.patterns, "t.path")
        rows = await self._fetch(f"{_VIEW} WHERE t.id = ? AND {scope.sql}", (task_id, *scope.params))
        return next(iter(await self._views(rows, visible)), None)

    async def _views(self, rows: list[tuple[Any, ...]], visible: PathScope) -> list[TaskView]:
        """Tasks that name no parents elsewhere."""
        views = [view_of(row) for row in rows]
        parents = set() if visible.patterns is None else parents_of(views)
        if not parents:
            return views
        among = self._dialect.each.format("?")
        places = await self._fetch(
            f"SELECT id, path FROM tasks WHERE id IN (SELECT CAST(value AS BIGINT) FROM {among})", (json.dumps(sorted(parents)),)
        )
        seen = {task_id for task_id, path in places if visible.covers(path)}
        return [veiled(view, seen) for view in views]

    async def tasks(self, query: ListTasks, visible: PathScope) -> Listing[TaskView]:
        """A page of tasks, newest first; work paths must be canonical. Raises ValidationFailed for a bad cursor."""
        after = None if query.cursor is None else place_of(query.cursor, "t")[1]
        refuse_both(query.cursor, query.offset)
        if query.q:
            return await self._searched(query, visible, after)
        selection = await select(self._fetch, self._dialect, query, visible)
        counted = 0 if selection is None else await self._counted(selection)
        if selection is None or counted == 0:
            return Listing(items=[], total=0)
        ids = selection.ids(after=after, descending=True)
        rows = await self._rows(ids.sql, (*ids.params, query.limit + 1, query.offset), query.excerpt)
        views = await self._views(rows[: query.limit], visible)
        total, exact = (query.offset + len(rows), False) if counted is None else total_of(counted)
        cursor = cursor_at(f"t{views[-1].head.id}") if len(rows) > query.limit else None
        return Listing(items=views, total=total, total_exact=exact, next_cursor=cursor)

    async def _rows(self, ids: str, params: Sequence[Any], excerpt: int | None) -> list[tuple[Any, ...]]:
        """Tasks by a query for their ids, newest first."""
        columns, cuts = (VIEW_COLUMNS, ()) if excerpt is None else (EXCERPT_COLUMNS, (excerpt,) * CUTS)
        sql = f"SELECT {columns} FROM {VIEW_TABLES} WHERE t.id IN ({ids}) ORDER BY t.id DESC"
        return await self._fetch(sql, (*cuts, *params))

    async def _searched(self, query: ListTasks, visible: PathScope, after: int | None) -> Listing[TaskView]:
        """A page of the tasks that have the words. Raises BehindError."""
        selection = await select(self._fetch, self._dialect, query, visible)
        search = await self._begin(query, visible)
        if selection is None or search is None:
            return Listing(items=[], total=0)
        wanted = query.offset + query.limit + 1
        found = await self._newest_found(search, selection, wanted, after)
        page = found.ids[query.offset : wanted]
        among = self._dialect.each.format("?")
        shown = (json.dumps(page[: query.limit]),)
        rows = await self._rows(f"SELECT CAST(value AS BIGINT) FROM {among}", shown, query.excerpt)
        cursor = cursor_at(f"t{page[query.limit - 1]}") if len(page) > query.limit else None
        total, exact = total_of(found.counted)
        return Listing(
            items=await self._views(rows, visible),
            total=total,
            total_exact=exact and found.all,
            next_cursor=cursor,
            unread=search.unread,
        )

    async def _begin(self, where: TaskFilter, visible: PathScope) -> Search | None:
        return await self._search(where.q or "", (asked(where.work_path, recursive=where.recursive), visible.patterns))

    async def _counted(self, selection: Selection) -> int | None:
        """How many tasks there are, up to a bound; None when that takes too long to find out, though the first are soon found."""
        try:
            ((counted,),) = await self._fetch(*selection.count())
        except Overloaded:
            return None
        return int(counted)

    async def task_ids(
        self, where: TaskFilter, visible: PathScope, *, statuses: Collection[Status], after: int, limit: int
    ) -> list[int]:
        """Ids above `after` of the tasks of a filter that have one of the statuses, ascending.

        Raises BehindError, also while an index of words that is asked does not know all tasks yet.
        """
        selection = await select(self._fetch, self._dialect, where, visible, statuses)
        if selection is None:
            return []
        if where.q:
            search = await self._begin(where, visible)
            return [] if search is None else await self._found_after(search, selection, after, limit)
        ids = selection.ids(after=after, descending=False)
        return [task_id for (task_id,) in await self._fetch(ids.sql, (*ids.params, limit, 0))]

    async def logs(self, task_id: int, after: int, limit: int, visible: PathScope) -> LogPage | None:
        """Lines of output after the line numbered `after`; fewer than `limit` when they are long. None as for `task`."""
        scope = within(visible.patterns, "path")
        # Asked first: what comes after a final status was known is the end of the output.
        statuses = await self._fetch(f"SELECT status FROM tasks WHERE id = ? AND {scope.sql}", (task_id, *scope.params))
        if not statuses:
            return None
        lines: list[StoredLogLine] = []
        size = 0
        more = True
        while more and len(lines) < limit and size < _PAGE_CHARACTERS:
            # As many as fit when they go on as they began: five hundred of the longest would be 32 MB.
            fit = (_PAGE_CHARACTERS - size) * len(lines) // size + 1 if size else _LINES_FIRST
            wanted = min(_LINES_AT_ONCE, limit - len(lines), fit)
            rows = await self._fetch(_LINES, (task_id, lines[-1].number if lines else after, wanted))
            more = len(rows) == wanted
            for number, lease_no, at, stream, text in rows:
                size += len(text)
                lines.append(StoredLogLine(number=number, lease_no=lease_no, at=moment(at), stream=LogStream(stream), text=text))
        final = not more and Status(statuses[0][0]).final
        return LogPage(lines=lines, next_after=lines[-1].number if lines else after, final=final)

    async def last_line(self, task_id: int, visible: PathScope) -> int:
        """The number of the last line of output; 0 when there is none, or the task cannot be seen."""
        scope = within(visible.patterns, "t.path")
        rows = await self._fetch(
            f"SELECT max(number) FROM task_logs WHERE task_id = (SELECT t.id FROM tasks t WHERE t.id = ? AND {scope.sql})",
            (task_id, *scope.params),
        )
        return int(rows[0][0] or 0)


def refuse_both(cursor: str | None, offset: int) -> None:
    """Raise ValidationFailed when a page is asked for by cursor and by offset at once."""
    if cursor is not None and offset:
        raise ValidationFailed(f"offset {offset} and a cursor contradict each other: send one of them", field="offset")
