"""What advice rests on: bounded samples of the latest attempts, the end of an output, what waits."""

import json
import re
from typing import Any, Final

import msgspec

from orchestrator.domain.advice.facts import Line, Question, Spending, TaskFacts, Try
from orchestrator.domain.budgets import day_of, usd
from orchestrator.domain.principal import PathScope
from orchestrator.domain.records import Schedule
from orchestrator.domain.task import Head, Millis
from orchestrator.store.reads.conditions import Condition, within
from orchestrator.store.reads.schedules import ScheduleReads
from orchestrator.store.reads.values import error_of, usage_of
from orchestrator.store.rows import RECORD_COLUMNS, record_of
from worker_client.contract.enums import AttemptOutcome
from worker_client.contract.reports import TaskError

_DAY: Final = 86_400_000
_WEEK: Final = 7 * _DAY
_SAMPLE: Final = 2_000
"""Attempts of the last day, and of the week before."""
_OWN: Final = 20
_OTHERS: Final = 200
"""Other tasks of a directory, and with two attempts each, theirs."""
_LINES: Final = 200
_LINE: Final = 1_000
_ERROR: Final = 600
_SCHEDULES: Final = 2_000
_QUESTIONS: Final = 2_000
_DIRECTORIES: Final = 100
_SPENDERS: Final = 50
# A task that has moved may have a title that is not for those who see where the attempt was.
_COLUMNS: Final = (
    "a.task_id, a.attempt, a.outcome, a.path, a.host, a.kind, a.worker_id, coalesce(a.agent, t.agent), a.started_at, a.ended_at,"
    f" CASE WHEN a.outcome IN ('failed', 'expired') THEN substr(a.error, 1, {_ERROR}) END, a.usage,"
    f" substr(a.reason, 1, {_ERROR}), CASE WHEN t.path = a.path THEN t.title END,"
    " t.schedule_id, t.workflow_id, t.step_id, t.timeout_ms, t.exclusive,"
    " CASE WHEN a.attempt = t.attempt THEN a.started_at - t.ready_at END"
)
# Strings of JSON, whose end may have been cut off.
_BEGINNING: Final = re.compile(r'\{(?:"type": ?"((?:[^"\\]|\\.)*)",? ?)?(?:"message": ?"((?:[^"\\]|\\.)*))?')
_UNFINISHED: Final = "t.status NOT IN ('completed', 'cancelled') AND (t.status || '') NOT IN ('completed', 'cancelled')"


class AdviceReads(ScheduleReads):
    """Queries for advice."""

    async def task_facts(self, head: Head, visible: PathScope) -> TaskFacts:
        """What is known of a task that can be seen; with attempts of the latest 200 others of its directory."""
        there = within(visible.patterns, "a.path")
        own = await self._fetch(
            f"SELECT {_COLUMNS}, a.lease_no FROM attempts a JOIN tasks t ON t.id = a.task_id"
            f" WHERE a.task_id = ? AND {there.sql} ORDER BY a.lease_no DESC LIMIT {_OWN}",
            (head.id, *there.params),
        )
        tries = [_try(row[:-1]) for row in reversed(own)]
        failed = next((row for row in own if _try(row[:-1]).failed), None)
        error, lines = None, list[Line]()
        if failed is not None:
            error = await self._error(head.id, failed[-1])
            lines = await self._last_lines(head.id, failed[-1])
        return TaskFacts(
            id=head.id,
            status=head.status,
            path=head.path,
            kind=head.kind,
            timeout_ms=head.timeout_ms,
            max_attempts=head.max_attempts,
            reason=head.reason,
            hold=head.hold,
            error=error,
            tries=tries,
            lines=lines,
            others=await self._others(head) if failed is not None else [],
        )

    async def _error(self, task_id: int, lease_no: int) -> TaskError | None:
        rows = await self._fetch("SELECT error FROM attempts WHERE task_id = ? AND lease_no = ?", (task_id, lease_no))
        return error_of(rows[0][0]) if rows else None

    async def _last_lines(self, task_id: int, lease_no: int) -> list[Line]:
        rows = await self._fetch(
            f"SELECT number, substr(text, 1, {_LINE}) FROM task_logs WHERE task_id = ? AND lease_no = ?"
            f" ORDER BY line DESC LIMIT {_LINES}",
            (task_id, lease_no),
        )
        return [Line(text, number) for number, text in reversed(rows)]

    async def _others(self, head: Head) -> list[Try]:
        using, order = self._dialect.using.format("tasks_directory"), self._dialect.order("tasks_directory")
        rows = await self._fetch(
            f"SELECT {_COLUMNS} FROM (SELECT * FROM tasks t {using} WHERE t.path = ? ORDER BY {order} DESC LIMIT {_OTHERS + 1}) t"
            f" JOIN attempts a ON a.task_id = t.id WHERE a.path = ? AND t.id <> ? ORDER BY a.id DESC LIMIT {2 * _OTHERS}",
            (head.path, head.path, head.id),
        )
        return [_try(row) for row in rows]

    async def latest_tries(self, now: Millis, where: Condition) -> tuple[list[Try], list[Try]]:
        """Attempts of the last day and of the week before, newest first; of the newest 2,000 of each those that match."""
        # By id, and not by time: what is older is not to be walked through.
        boundary, oldest = await self._first_since(now - _DAY), await self._first_since(now - _DAY - _WEEK)
        recent = await self._sample(Condition("id >= ?", (boundary,)), where)
        before = await self._sample(Condition("id >= ? AND id < ?", (oldest, boundary)), where)
        return recent, before

    async def _first_since(self, at: Millis) -> int:
        """The first attempt that ended since: ids rise with the time. Searched for, however many there are."""
        # Each by itself is found at an end of the index.
        bounds = "SELECT (SELECT coalesce(min(id), 0) FROM attempts), (SELECT coalesce(max(id), -1) + 1 FROM attempts)"
        ((low, high),) = await self._fetch(bounds, ())
        while low < high:
            middle = (low + high) // 2
            found = await self._fetch("SELECT id, ended_at FROM attempts WHERE id >= ? ORDER BY id LIMIT 1", (middle,))
            if not found or found[0][1] >= at:
                high = middle
            else:
                low = found[0][0] + 1
        return int(low)

    async def _sample(self, part: Condition, where: Condition) -> list[Try]:
        rows = await self._fetch(
            f"SELECT {_COLUMNS} FROM (SELECT * FROM attempts WHERE {part.sql} ORDER BY id DESC LIMIT {_SAMPLE}) a"
            f" JOIN tasks t ON t.id = a.task_id WHERE {where.sql} ORDER BY a.id DESC",
            (*part.params, *where.params),
        )
        return [_try(row) for row in rows]

    async def soonest_schedules(self, visible: PathScope) -> list[Schedule]:
        """The 2,000 that fire next, and as many that are paused."""
        seen, columns = await self._seen(visible), RECORD_COLUMNS[Schedule.TABLE]
        found = []
        for part in ("r.fire_at IS NOT NULL AND {} ORDER BY r.fire_at", "r.enabled = 0 AND {} ORDER BY r.id"):
            sql = f"SELECT {columns} FROM schedules r WHERE {part.format(seen.sql)} LIMIT {_SCHEDULES}"
            found += await self._fetch(sql, seen.params)
        return [record_of(Schedule, row) for row in found]

    async def first_waiting_of(self, where: Condition) -> list[tuple[Any, ...]]:
        """Of the 100 directories where most waits: path, host, how many; of the first task id, kind, tags, agent, since."""
        counted = await self._fetch(
            "SELECT path, host, sum(n) AS waiting FROM task_counts WHERE status = 'waiting' AND n > 0"
            f" AND {where.sql} GROUP BY path, host ORDER BY waiting DESC, path, host LIMIT {_DIRECTORIES}",
            where.params,
        )
        first = await self._fetch(self._sql["first_of_directories"], (json.dumps(sorted({path for path, _, _ in counted})),))
        by_path = {row[0]: row for row in first}
        return [
            (path, host, n, *by_path[path][2:])
            for path, host, n in counted
            if path in by_path and by_path[path][1] == host
        ]  # fmt: skip

    async def questions(self, where: Condition) -> list[Question]:
        """Of the first 2,000 parked tasks those that wait for an answer or an approval."""
        using, order = self._dialect.using.format("tasks_unfinished"), self._dialect.order("tasks_unfinished")
        rows = await self._fetch(
            f"SELECT t.id, t.path, t.host, t.hold, t.updated_at, substr(o.question, 1, {_ERROR}) FROM"
            f" (SELECT * FROM tasks t {using} WHERE t.status = 'parked' AND {_UNFINISHED} ORDER BY {order} LIMIT {_QUESTIONS}) t"
            f" LEFT JOIN task_outputs o ON o.task_id = t.id "
            f" WHERE t.hold IN ('question', 'approval') AND {where.sql} ORDER BY t.id",
            where.params,
        )
        return [
            Question(task_id=task_id, path=path, host=host, hold=hold, since=since, question=question or "")
            for task_id, path, host, hold, since, question in rows
        ]

    async def limited_directories(self, visible: PathScope) -> dict[str, int]:
        """How many tasks may run in directories and below them."""
        scope = within(visible.patterns, "path")
        limited = f"max_running IS NOT NULL AND {scope.sql}"
        rows = await self._fetch(f"SELECT path, min(max_running) FROM directories WHERE {limited} GROUP BY path", scope.params)
        return dict(rows)

    async def spending(self, now: Millis, where: Condition) -> list[Spending]:
        """The 50 directories that cost most today, with what they cost on average on days of the last week."""
        today = day_of(now)
        rows = await self._fetch(
            f"SELECT path, sum(micros * 1.0) AS cost FROM task_usage WHERE day = ? AND micros > 0 AND {where.sql}"
            f" GROUP BY path ORDER BY cost DESC LIMIT {_SPENDERS}",
            (today, *where.params),
        )
        paths = json.dumps([path for path, _ in rows])
        before = await self._fetch(
            "SELECT path, sum(micros * 1.0), count(DISTINCT day) FROM task_usage WHERE day >= ? AND day < ? AND micros > 0"
            f" AND path IN (SELECT value FROM {self._dialect.each.format('?')}) GROUP BY path",
            (today - 7, today, paths),
        )
        usual = {path: (cost / days, days) for path, cost, days in before}
        return [Spending(path, usd(cost), usd(usual[path][0]), usual[path][1]) for path, cost in rows if path in usual]


def _try(row: tuple[Any, ...]) -> Try:
    (task_id, attempt, outcome, path, host, kind, worker_id, agent, started, ended, error, usage, reason, *of_task) = row
    title, schedule_id, workflow_id, step_id, timeout_ms, exclusive, waited = of_task
    kind_of_error, message = beginning(error)
    used = usage_of(usage)
    return Try(
        task_id=task_id,
        attempt=attempt,
        outcome=AttemptOutcome(outcome),
        path=path,
        host=host,
        kind=kind,
        worker_id=worker_id or "",
        agent=agent,
        started_at=started,
        ended_at=ended,
        type=kind_of_error,
        message=message,
        reason=reason or "",
        cost_usd=0.0 if used is None else used.cost_usd or 0.0,
        title=title,
        schedule_id=schedule_id,
        workflow_id=workflow_id,
        step_id=step_id,
        timeout_ms=timeout_ms,
        exclusive=bool(exclusive),
        waited_ms=waited,
    )


def beginning(error: str | None) -> tuple[str, str]:
    """Type and message of an error of which only the beginning was read."""
    found = _BEGINNING.match(error or "")
    if not error or found is None:
        return "", ""
    named, message = ("" if part is None else _text(part) for part in found.groups())
    return named or TaskError().type, message


def _text(part: str) -> str:
    try:
        return str(msgspec.json.decode(f'"{part}"'.encode()))
    except msgspec.DecodeError:
        return part
