"""Schedules and their history as people look at them."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from orchestrator.domain.holders import reach
from orchestrator.domain.principal import PathScope
from orchestrator.domain.records import Fire, Schedule
from orchestrator.domain.task import Millis
from orchestrator.store.reads.conditions import ALWAYS, Condition, all_of, one_of
from orchestrator.store.reads.tasks import refuse_both
from orchestrator.store.reads.values import COUNTED, Listing, Reading, cursor_at, place_of, total_of
from orchestrator.store.rows import RECORD_COLUMNS, record_of
from worker_client.contract.enums import ScheduleState
from worker_client.contract.schedules import ListFires, ListSchedules

_SCHEDULE: Final = RECORD_COLUMNS[Schedule.TABLE]
_FIRE: Final = RECORD_COLUMNS[Fire.TABLE]
_STATES: Final = {
    ScheduleState.ACTIVE: Condition("r.fire_at IS NOT NULL"),
    ScheduleState.PAUSED: Condition("r.enabled = 0"),
    ScheduleState.FINISHED: Condition("r.enabled = 1 AND r.fire_at IS NULL"),
}
"""As the indexes of the table have them."""


class Standing(Struct, frozen=True):
    """How the schedules that somebody sees stand: how many by state, when the next one fires, when one last did."""

    running: bool
    counts: dict[ScheduleState, int]
    next_fire: Millis | None
    last_fire: Millis | None


class ScheduleReads(Reading):
    """Queries for schedules."""

    async def schedule(self, schedule_id: int, visible: PathScope) -> Schedule | None:
        """A schedule; None when there is none, or it reaches further than the asker."""
        rows = await self._fetch(f"SELECT {_SCHEDULE} FROM schedules r WHERE r.id = ?", (schedule_id,))
        found = record_of(Schedule, rows[0]) if rows else None
        return found if found is not None and _reach(found.paths).within(visible) else None

    async def schedules(self, query: ListSchedules, visible: PathScope, before: int) -> Listing[Schedule]:
        """Schedules by name, from a place on; one more than asked for."""
        parts = [await self._seen(visible)]
        if query.q:
            words = "".join(f"\\{one}" if one in "\\%_" else one for one in query.q)
            like = self._dialect.like
            parts.append(Condition(f"(r.name {like} ? ESCAPE '\\' OR r.description {like} ? ESCAPE '\\')", (f"%{words}%",) * 2))
        if query.state is not None:
            parts.append(_STATES[query.state])
        if query.workflow_id is not None:
            parts.append(Condition("r.workflow_id = ?", (query.workflow_id,)))
        where = all_of(parts)
        total, exact = total_of(await self._number(where))
        rows = await self._fetch(
            f"SELECT {_SCHEDULE} FROM schedules r WHERE {where.sql} ORDER BY r.name, r.id LIMIT ? OFFSET ?",
            (*where.params, query.limit + 1, before),
        )
        return Listing(items=[record_of(Schedule, row) for row in rows], total=total, total_exact=exact)

    async def _number(self, where: Condition) -> int:
        counted = f"SELECT count(*) FROM (SELECT 1 FROM schedules r WHERE {where.sql} LIMIT {COUNTED + 1}) AS counted"
        ((count,),) = await self._fetch(counted, where.params)
        return int(count)

    async def _seen(self, visible: PathScope) -> Condition:
        """Those of credentials that see no more than the asker; of such there are few, however many schedules they have."""
        if visible.patterns is None:
            return ALWAYS
        scopes = await self._fetch("SELECT scope, min(paths) FROM schedules GROUP BY scope", ())
        return one_of("r.scope", [scope for scope, paths in scopes if _reach(paths).within(visible)])

    async def fires(self, schedule_id: int, query: ListFires) -> Listing[Fire]:
        """A page of a schedule's history, newest first."""
        refuse_both(query.cursor, query.offset)
        parts = [Condition("r.schedule_id = ?", (schedule_id,))]
        if query.outcome is not None:
            parts.append(Condition("r.outcome = ?", (str(query.outcome),)))
        where = all_of(parts)
        ((counted,),) = await self._fetch(
            f"SELECT count(*) FROM (SELECT 1 FROM fires r WHERE {where.sql} LIMIT {COUNTED + 1}) AS counted", where.params
        )
        if query.cursor is not None:
            where = all_of([where, Condition("r.id < ?", (place_of(query.cursor, "f")[1],))])
        rows = await self._fetch(
            f"SELECT {_FIRE} FROM fires r WHERE {where.sql} ORDER BY r.id DESC LIMIT ? OFFSET ?",
            (*where.params, query.limit + 1, query.offset),
        )
        found = [record_of(Fire, row) for row in rows[: query.limit]]
        total, exact = total_of(counted)
        cursor = cursor_at(f"f{found[-1].id}") if len(rows) > query.limit else None
        return Listing(items=found, total=total, total_exact=exact, next_cursor=cursor)

    async def scheduling(self, visible: PathScope) -> Standing:
        """How schedules stand."""
        seen = await self._seen(visible)
        counts = {}
        for state, such in _STATES.items():
            where = all_of([such, seen])
            rows = await self._fetch(f"SELECT count(*) FROM schedules r WHERE {where.sql}", where.params)
            counts[state] = int(rows[0][0])
        stopped = await self._fetch("SELECT 1 FROM meta WHERE key = 'scheduler' AND value = 'stopped'", ())
        due = await self._fetch(f"SELECT min(r.fire_at) FROM schedules r WHERE r.fire_at IS NOT NULL AND {seen.sql}", seen.params)
        last = f"SELECT max(r.last_fire_at) FROM schedules r WHERE {seen.sql}"
        if seen == ALWAYS:
            # Found by the end of the history, and not by going through all schedules.
            last = "SELECT max(f.decided_at) FROM fires f WHERE f.id = (SELECT max(id) FROM fires WHERE outcome = 'fired')"
        return Standing(not stopped, counts, due[0][0], (await self._fetch(last, seen.params))[0][0])


def _reach(paths: Any) -> PathScope:
    return reach(None if paths is None else tuple(msgspec.json.decode(paths)))
