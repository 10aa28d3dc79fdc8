"""Which index drives a list of tasks: chosen here and named in the SQL, because planners have no or old statistics."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from orchestrator.domain.principal import PathScope, Pattern
from orchestrator.store.reads.conditions import (
    ALWAYS,
    NEVER,
    Condition,
    all_of,
    asked,
    disjoint,
    of_tasks,
    one_of,
    pieces,
    within,
)
from orchestrator.store.reads.dialect import Dialect
from orchestrator.store.reads.values import COUNTED, Fetch
from worker_client.contract.enums import Status
from worker_client.contract.tasks import TaskFilter

UNFINISHED: Final = "t.status NOT IN ('completed', 'cancelled') AND (t.status || '') NOT IN ('completed', 'cancelled')"
"""The words of the index, by which the planner knows that it may use it."""
_WAITING: Final = Condition("status = 'waiting'")
_MOST_ARMS: Final = 100


class Arm(NamedTuple):
    """A part of the tasks, disjoint from the other arms, and the index that finds it; None: all of them, by id."""

    by: str | None
    condition: Condition = ALWAYS


WALK: Final = Arm(None)
"""Right where what is asked for lies close together, or nothing better is known."""


class Selection(Struct, frozen=True):
    """The tasks that a filter asks for, as arms that are merged by id without sorting more than must be."""

    arms: Sequence[Arm]
    rest: Condition
    dialect: Dialect
    rolled: Condition | None = None
    """The same tasks in the rollups, where no index counts them."""
    whole: Condition = ALWAYS
    """All that the filter says, of a task (t)."""

    @property
    def driven(self) -> bool:
        """Whether an index leads to them."""
        return self.arms[0].by is not None

    def ids(self, *, after: int | None, descending: bool) -> Condition:
        """A query for ids in order; ends with LIMIT ? OFFSET ?, whose values the caller appends."""
        parts = [self._ids(arm, "<" if descending else ">", after) for arm in self.arms]
        order = f"ORDER BY 1 {'DESC' if descending else 'ASC'}"
        # Each is in order by itself, too: without saying so PostgreSQL would sort what it could merge.
        union = " UNION ALL ".join(f"SELECT * FROM ({part.sql} {order}) arm" for part in parts)
        return Condition(f"{union} {order} LIMIT ? OFFSET ?", _params(parts))

    def count(self) -> Condition:
        """A query for how many there are; it stops counting past COUNTED, unless the rollups know at once."""
        if self.rolled is not None:
            found = f"CASE WHEN sum(n) > {COUNTED} THEN {COUNTED + 1} ELSE coalesce(sum(n), 0) END"
            return Condition(f"SELECT {found} FROM task_counts WHERE {self.rolled.sql}", self.rolled.params)
        parts = [self._arm("1", arm) for arm in self.arms]
        union = " UNION ALL ".join(part.sql for part in parts)
        return Condition(f"SELECT count(*) FROM ({union} LIMIT {COUNTED + 1}) AS counted", _params(parts))

    def _ids(self, arm: Arm, further: str, after: int | None) -> Condition:
        number = "t.id" if arm.by is None else self.dialect.order(arm.by)
        return self._arm(number, arm, ALWAYS if after is None else Condition(f"{number} {further} ?", (after,)))

    def _arm(self, column: str, arm: Arm, further: Condition = ALWAYS) -> Condition:
        where = all_of([arm.condition, self.rest, further])
        using = self.dialect.by_id if arm.by is None else self.dialect.using.format(arm.by)
        return Condition(f"SELECT {column} FROM tasks t {using} WHERE {where.sql}", where.params)


async def select(
    fetch: Fetch, dialect: Dialect, where: TaskFilter, visible: PathScope, statuses: Collection[Status] | None = None
) -> Selection | None:
    """The selection for a filter but its words, further restricted to `statuses`; None when nothing can match."""
    wanted = _statuses(_statuses(where.status, [Status.PARKED] if where.needs_person else None), statuses)
    status = ALWAYS if wanted is None else one_of("t.status", sorted(map(str, wanted)))
    patterns = asked(where.work_path, recursive=where.recursive)
    paths, scope = within(patterns, "t.path"), within(visible.patterns, "t.path")
    rest = of_tasks(where, dialect)
    if NEVER in {status, paths, scope, rest}:
        return None
    driving = paths
    if patterns is None and visible.patterns is not None:
        patterns, driving = list(visible.patterns), scope
    if where.run_id is not None:
        arms = [Arm("tasks_run", Condition("t.run_id IS NOT NULL"))]
    elif where.schedule_id is not None:
        arms = [Arm("tasks_schedule", Condition("t.schedule_id IS NOT NULL"))]
    elif patterns is not None:
        arms = await _arms_of_paths(fetch, disjoint(patterns), wanted)
    else:
        arms = _arms_of_statuses(wanted) or [WALK]
    # What the arms say already is not said twice: a planner would think that fewer rows are left.
    said = {"tasks_unfinished": {status}, "tasks_directory": {driving}, "tasks_waiting": {status, driving}}.get(
        arms[0].by or "", set()
    )
    rolled = None
    if arms == [WALK] and rest == ALWAYS and wanted is not None:
        within_both = [within(asked(where.work_path, recursive=where.recursive), "path"), within(visible.patterns, "path")]
        rolled = all_of([one_of("status", sorted(map(str, wanted))), *within_both])
    conditions = all_of([rest, *(part for part in (status, paths, scope) if part not in said)])
    return Selection(arms, conditions, dialect, rolled, all_of([rest, status, paths, scope]))


def _statuses(one: Collection[Status] | None, other: Collection[Status] | None) -> set[Status] | None:
    if one is None or other is None:
        return None if one is other else set(one or other or ())
    return set(one) & set(other)


def _arms_of_statuses(statuses: set[Status] | None) -> list[Arm]:
    """An arm per status; none when one of them is in no index."""
    if statuses is None or statuses & {Status.COMPLETED, Status.CANCELLED}:
        return []
    return [Arm("tasks_unfinished", Condition(f"t.status = ? AND {UNFINISHED}", (str(status),))) for status in sorted(statuses)]


async def _arms_of_paths(fetch: Fetch, patterns: list[Pattern], statuses: set[Status] | None) -> list[Arm]:
    """By directory or by status, whichever finds fewer to look at; the rollups know."""
    of_paths = [Arm("tasks_directory", piece) for pattern in patterns for piece in pieces(pattern, "t.path")]
    of_statuses = _arms_of_statuses(statuses)
    if len(of_paths) > _MOST_ARMS:
        return of_statuses or [WALK]
    here = within(patterns, "path")
    in_paths = await _counted(fetch, here)
    if statuses == {Status.WAITING} and await _counted(fetch, all_of([here, _WAITING])) <= COUNTED:
        return [Arm("tasks_waiting", all_of([_WAITING, arm.condition])) for arm in of_paths]
    if of_statuses and await _counted(fetch, one_of("status", sorted(map(str, statuses or ())))) <= in_paths:
        return of_statuses
    # A directory alone is in the order of the index; what lies below one must be sorted.
    if in_paths <= COUNTED or not any(pattern.below for pattern in patterns):
        return of_paths
    return of_statuses or [WALK]


async def _counted(fetch: Fetch, where: Condition) -> int:
    ((found,),) = await fetch(f"SELECT coalesce(sum(n), 0) FROM task_counts WHERE {where.sql}", where.params)
    return int(found)


def _params(parts: Sequence[Condition]) -> tuple[Any, ...]:
    return tuple(param for part in parts for param in part.params)
