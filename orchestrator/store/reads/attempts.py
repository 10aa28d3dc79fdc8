"""Attempts as people look at them: the history of a task, and across tasks."""

from collections import Counter
from typing import Any, Final

import msgspec

from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.principal import PathScope
from orchestrator.store.reads.conditions import ALWAYS, NEVER, Condition, of_attempts, of_running, within
from orchestrator.store.reads.tasks import refuse_both
from orchestrator.store.reads.values import (
    COUNTED,
    Listing,
    Reading,
    cursor_at,
    error_of,
    place_of,
    total_of,
    usage_of,
)
from orchestrator.store.rollups import rank_of
from worker_client.contract.attempts import Attempt, AttemptStats, ListAttempts
from worker_client.contract.enums import AttemptOutcome

_ENDED: Final = (
    "SELECT a.id, a.task_id, a.lease_no, a.attempt, a.outcome, a.path, a.host, a.kind, a.worker_id, a.session_id,"
    " a.started_at, a.ended_at, a.error, a.usage, a.reason, a.agent, a.evidence FROM attempts a"
)
_RUNNING: Final = (
    "SELECT NULL, t.id, t.lease_no, t.attempt, 'running', t.path, t.lease_host, t.kind, t.worker_id, o.session_id,"
    " t.started_at, NULL, NULL, o.usage_now, NULL, t.agent, NULL"
)
_OUTPUTS: Final = "LEFT JOIN task_outputs o ON o.task_id = t.id"
_evidence = msgspec.json.Decoder(dict[str, Any])
_SHARES: Final = (0.5, 0.95, 0.99)
_DECIDED: Final = (AttemptOutcome.COMPLETED, AttemptOutcome.FAILED, AttemptOutcome.EXPIRED)
"""Outcomes that say something about the work; released, parked and cancelled do not."""


class AttemptReads(Reading):
    """Queries for attempts."""

    async def attempts_of(self, task_id: int, visible: PathScope) -> list[Attempt] | None:
        """The history of a task, a running attempt last; None when there is no such task or it cannot be seen."""
        scope = within(visible.patterns, "t.path")
        tasks = await self._fetch(
            f"SELECT t.status FROM tasks t WHERE t.id = ? AND {scope.sql}",
            (task_id, *scope.params),
        )
        if not tasks:
            return None
        # Asked in this order: a lease that ends in between is in the second answer, where it replaces that of the first.
        running = await self._fetch(f"{_RUNNING} FROM tasks t {_OUTPUTS} WHERE t.id = ? AND t.status = 'running'", (task_id,))
        # One of a time when the task was elsewhere is not shown.
        there = within(visible.patterns, "a.path")
        ended = await self._fetch(f"{_ENDED} WHERE a.task_id = ? AND {there.sql} ORDER BY a.lease_no", (task_id, *there.params))
        known = {row[2] for row in ended}
        return [_attempt(row) for row in [*ended, *(row for row in running if row[2] not in known)]]

    async def attempt(self, attempt_id: int, visible: PathScope) -> Attempt | None:
        """One ended attempt; None when there is none or its directory cannot be seen."""
        scope = within(visible.patterns, "a.path")
        rows = await self._fetch(f"{_ENDED} WHERE a.id = ? AND {scope.sql}", (attempt_id, *scope.params))
        return _attempt(rows[0]) if rows else None

    async def attempts(self, query: ListAttempts, visible: PathScope) -> Listing[Attempt]:
        """A page of attempts: those that run by task, newest first, then those that ended, newest first.

        Work paths must be canonical. Raises ValidationFailed for a bad cursor.
        """
        kind, at = ("r", None) if query.cursor is None else place_of(query.cursor, "re")
        refuse_both(query.cursor, query.offset)
        run, end = of_running(query, visible), of_attempts(query, visible)
        running = 0
        if run != NEVER:
            ((running,),) = await self._fetch(f"SELECT count(*) {self._leased()} WHERE {run.sql}", run.params)
        ((ended,),) = await self._fetch(
            f"SELECT count(*) FROM (SELECT 1 FROM attempts a WHERE {end.sql} LIMIT {COUNTED + 1}) AS counted",
            end.params,
        )
        wanted = query.limit + 1
        rows: list[tuple[Any, ...]] = []
        if kind == "r" and running:
            rows += await self._running(run, at, wanted, query.offset)
        if len(rows) < wanted and ended:
            place = at if kind == "e" else None
            rows += await self._ended(query, end, place, wanted - len(rows), max(0, query.offset - running))
        items = [_attempt(row) for row in rows[: query.limit]]
        total, exact = total_of(running + ended)
        return Listing(items=items, total=total, total_exact=exact, next_cursor=_next(items) if len(rows) == wanted else None)

    def _leased(self) -> str:
        return f"FROM tasks t {self._dialect.using.format('tasks_expiring')}"

    async def _running(self, run: Condition, before: int | None, limit: int, offset: int) -> list[tuple[Any, ...]]:
        place = ALWAYS if before is None else Condition("t.id < ?", (before,))
        # The plus: what runs is sorted, not found by a walk through all tasks in order.
        sql = f"{_RUNNING} {self._leased()} {_OUTPUTS} WHERE {run.sql} AND {place.sql} ORDER BY +t.id DESC LIMIT ? OFFSET ?"
        return await self._fetch(sql, (*run.params, *place.params, limit, offset))

    async def _ended(
        self, query: ListAttempts, end: Condition, before: int | None, limit: int, offset: int
    ) -> list[tuple[Any, ...]]:
        place = ALWAYS if before is None else Condition("a.id < ?", (before,))
        # The plus keeps the planner from walking all attempts in order where those of one task are to be sorted.
        order = "a.id" if query.task_id is None else "+a.id"
        sql = f"{_ENDED} WHERE {end.sql} AND {place.sql} ORDER BY {order} DESC LIMIT ? OFFSET ?"
        return await self._fetch(sql, (*end.params, *place.params, limit, offset))

    async def attempt_stats(self, query: ListAttempts, visible: PathScope) -> AttemptStats:
        """Counts and percentiles over the newest 10,000 ended attempts that match."""
        end = of_attempts(query, visible)
        order = "a.id" if query.task_id is None else "+a.id"
        rows = await self._fetch(
            f"SELECT a.outcome, a.ended_at - a.started_at FROM attempts a WHERE {end.sql} ORDER BY {order} DESC LIMIT ?",
            (*end.params, COUNTED + 1),
        )
        counted = rows[:COUNTED]
        outcomes = Counter(outcome for outcome, _ in counted)
        durations = sorted(took for outcome, took in counted if outcome == AttemptOutcome.COMPLETED)
        decided = sum(outcomes[outcome] for outcome in _DECIDED)
        p50, p95, p99 = (float(durations[rank_of(share, len(durations)) - 1]) if durations else None for share in _SHARES)
        return AttemptStats(
            total=len(counted),
            total_exact=len(rows) <= COUNTED,
            by_outcome={str(outcome): outcomes[outcome] for outcome in AttemptOutcome if outcome is not AttemptOutcome.RUNNING},
            success_rate=outcomes[AttemptOutcome.COMPLETED] / decided if decided else None,
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
        )


def _next(items: list[Attempt]) -> str:
    last = items[-1]
    return cursor_at(f"r{last.task_id}" if last.id is None else f"e{last.id}")


def _attempt(row: tuple[Any, ...]) -> Attempt:
    (id_, task_id, lease_no, attempt, outcome, path, host, kind, worker_id, session_id, started, ended, *said) = row
    error, usage, reason, agent, text = said
    evidence = {} if text is None else _evidence.decode(text)
    return Attempt(
        id=id_,
        task_id=task_id,
        lease_no=lease_no,
        attempt=attempt,
        outcome=AttemptOutcome(outcome),
        work_directory=path,
        host=host,
        kind=kind,
        worker_id=worker_id,
        session_id=session_id,
        started_at=moment(started),
        ended_at=perhaps(ended),
        duration_ms=None if ended is None else ended - started,
        error=error_of(error),
        usage=usage_of(usage),
        reason=reason,
        # Whose session nobody told of, its worker has said what it ran.
        agent=agent or (named if isinstance(named := evidence.get("agent"), str) else None),
        evidence=evidence,
    )
