"""Asks the server for what the screen shows; what costs more is asked for less often."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from msgspec import structs

from orchestrator.cli.watching.model import FAILED, MINUTES, NEEDS, RUNNING, WAITING, Detail, Row, State
from orchestrator.cli.watching.words import plain
from worker_client import endpoints
from worker_client.client import AsyncClient
from worker_client.contract.attempts import ListAttempts
from worker_client.contract.enums import AttemptOutcome, ParkReason, Status
from worker_client.contract.envelope import Page
from worker_client.contract.logs import ReadLogs
from worker_client.contract.tasks import ListTasks, Task
from worker_client.endpoints import Call
from worker_client.errors import NotFound
from worker_client.exchange import Retries

T = TypeVar("T")
ONCE: Final = Retries(attempts=1)
_MOST: Final = 200
_EXPLAINED: Final = 12
"""Directories whose reason is asked for at a time."""
_SELDOM_S: Final = 5.0
_TAIL: Final = 500
_PEOPLE: Final = (ParkReason.QUESTION, ParkReason.APPROVAL, ParkReason.BUDGET)


class Looking:
    """Fills the state with what a server answers; `filters`: of lists of tasks."""

    def __init__(self, client: AsyncClient, state: State, filters: dict[str, Any]) -> None:
        self._client = client
        self._state = state
        self._filters = filters
        self._reasons: dict[tuple[int, int], tuple[float, str]] = {}
        self._seldom_at = -_SELDOM_S

    async def once(self) -> None:
        """Ask for all of it. Raises OrchestratorError."""
        state = self._state
        running = await self._tasks(RUNNING, Status.RUNNING)
        known = {row.task.id: row.note for row in state.rows.get(RUNNING, [])}
        state.rows[RUNNING] = [Row(task, known.get(task.id) or await self._last_line(task)) for task in running]
        parked = await self._tasks(NEEDS, Status.PARKED)
        asked = [Row(task, _asks(task)) for task in parked if task.parked is not None and task.parked.reason in _PEOPLE]
        state.rows[NEEDS] = asked
        state.totals[NEEDS] = str(len(asked))
        state.rows[WAITING] = await self._waiting(await self._tasks(WAITING, Status.WAITING))
        now = time.monotonic()
        if now - self._seldom_at >= _SELDOM_S:
            self._seldom_at = now
            failed = await self._tasks(FAILED, Status.FAILED)
            late = sorted(failed, key=lambda task: task.updated_at, reverse=True)
            state.rows[FAILED] = [Row(task, plain(task.error.message) if task.error else "") for task in late]
            state.statistics = await self._ask(endpoints.get_statistics())
        if state.detail is not None:
            await self._renew(state.detail.task.id)
        state.settle()

    async def past(self) -> None:
        """When tasks were completed in the last minutes, for the graph."""
        since = datetime.now(UTC) - timedelta(minutes=MINUTES)
        query = ListAttempts(outcome=[AttemptOutcome.COMPLETED], started_after=since, limit=1000, **self._filters)
        page = await self._ask(endpoints.list_attempts(query))
        self._state.completed.extend(attempt.ended_at for attempt in reversed(page.items) if attempt.ended_at)

    async def detail(self, task_id: int) -> Detail | None:
        """A task with the end of its output; None when it is gone."""
        try:
            task = await self._ask(endpoints.get_task(task_id))
            page = await self._ask(endpoints.read_logs(task_id, ReadLogs(tail=_TAIL)))
            why = "" if task.status in {Status.RUNNING, Status.COMPLETED} else await self._why(task)
        except NotFound:
            return None
        return Detail(task, why, [line.text for line in page.lines])

    async def hear(self, task_id: int) -> None:
        """Ask for the last line of a running task that is shown, and with its details for all of its output."""
        state = self._state
        row = next((row for row in state.rows.get(RUNNING, []) if row.task.id == task_id), None)
        if row is not None:
            state.said(task_id, await self._last_line(row.task))
        await self._renew(task_id)

    async def _renew(self, task_id: int) -> None:
        """Look again at the task whose details are open; not when they were left, or scrolled, while that was asked."""
        state = self._state
        if state.detail is None or state.detail.task.id != task_id:
            return
        found = await self.detail(task_id)
        still = self._state.detail
        if still is not None and still.task.id == task_id:
            state.detail = None if found is None else structs.replace(found, back=still.back)

    async def _ask(self, call: Call[T]) -> T:
        return await self._client.send(call, ONCE)

    async def _tasks(self, section: str, status: Status) -> Sequence[Task]:
        query = ListTasks(status=[status], limit=_MOST, **self._filters)
        page: Page[Task] = await self._ask(endpoints.list_tasks(query))
        some = f", of which the newest {len(page.items)} are looked at" if len(page.items) < page.total else ""
        self._state.totals[section] = f"{page.total:,}{'' if page.total_exact else ' or more'}{some}"
        return page.items

    async def _last_line(self, task: Task) -> str:
        page = await self._ask(endpoints.read_logs(task.id, ReadLogs(tail=1)))
        return plain(page.lines[-1].text) if page.lines else ""

    async def _waiting(self, tasks: Sequence[Task]) -> list[Row]:
        """A row for each directory, by the task that waits there for longest, with the reason."""
        found: dict[tuple[str, str], Row] = {}
        for task in tasks:
            row = found.setdefault((task.host, task.work_directory), Row(task, count=0))
            row.task, row.count = task, row.count + 1
        rows = sorted(found.values(), key=lambda row: row.task.created_at)
        for row in [row for row in rows if row.matches(self._state.words)][:_EXPLAINED]:
            row.note = await self._why(row.task)
        return rows

    async def _why(self, task: Task) -> str:
        now, key = time.monotonic(), (task.id, task.version)
        at, words = self._reasons.get(key, (-_SELDOM_S, ""))
        if now - at >= _SELDOM_S:
            self._reasons = {one: kept for one, kept in self._reasons.items() if now - kept[0] < 10 * _SELDOM_S}
            try:
                words = (await self._ask(endpoints.why(task.id))).summary
            except NotFound:
                words = ""
            self._reasons[key] = (now, words)
        return words


def _asks(task: Task) -> str:
    parked = task.parked
    if parked is None:
        return ""
    options = f"  [{' | '.join(parked.options)}]" if parked.options else ""
    return plain(f"{parked.question or parked.message or f'waits for {parked.reason}'}{options}")
