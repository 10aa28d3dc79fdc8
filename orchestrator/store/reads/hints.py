"""What changes of tasks without an event: output, and what workers tell of their progress."""

from collections.abc import Collection

from msgspec import Struct

from orchestrator.domain.principal import PathScope
from orchestrator.domain.task import Millis
from orchestrator.store.reads.conditions import one_of, within
from orchestrator.store.reads.values import Reading


class Place(Struct, frozen=True):
    """Where a task is and how it stands."""

    task_id: int
    path: str
    host: str
    status: str
    run_id: int | None = None


class HintReads(Reading):
    """Queries about a few tasks, whoever may see them."""

    async def progress(self, ids: Collection[int]) -> list[tuple[Place, str | None, str | None]]:
        """Of each of these tasks its progress and the usage of its attempt, as JSON."""
        among = one_of("t.id", ids)
        rows = await self._fetch(
            "SELECT t.id, t.path, t.host, t.status, t.run_id, o.progress, o.usage_now"
            f" FROM tasks t JOIN task_outputs o ON o.task_id = t.id WHERE {among.sql}",
            among.params,
        )
        return [(Place(*row[:5]), *row[5:]) for row in rows]

    async def last_lines(self, ids: Collection[int]) -> list[tuple[Place, int]]:
        """Of each of these tasks the number of its last line of output; 0 when there is none."""
        among = one_of("t.id", ids)
        rows = await self._fetch(
            "SELECT t.id, t.path, t.host, t.status, t.run_id, (SELECT max(l.number) FROM task_logs l WHERE l.task_id = t.id)"
            f" FROM tasks t WHERE {among.sql}",
            among.params,
        )
        return [(Place(*row[:5]), row[5] or 0) for row in rows]

    async def changed_since(self, at: Millis, limit: int) -> list[tuple[int, Millis]]:
        """Of the running tasks that changed at this time or later the `limit` last ones, and when."""
        rows = await self._fetch(
            "SELECT id, updated_at FROM tasks WHERE status = 'running' AND updated_at >= ? ORDER BY updated_at DESC LIMIT ?",
            (at, limit),
        )
        return [(task_id, changed) for task_id, changed in rows]

    async def lines_of_running(self, visible: PathScope, limit: int) -> list[tuple[int, int]]:
        """Of up to `limit` running tasks that are visible the number of the last line."""
        scope = within(visible.patterns, "t.path")
        rows = await self._fetch(
            "SELECT t.id, (SELECT max(l.number) FROM task_logs l WHERE l.task_id = t.id)"
            f" FROM tasks t WHERE t.status = 'running' AND {scope.sql} LIMIT ?",
            (*scope.params, limit),
        )
        return [(task_id, last or 0) for task_id, last in rows]

    async def lines_before_lease(self, task_id: int) -> int:
        """The number of the last line before those of the present lease of a task."""
        rows = await self._fetch(
            "SELECT (SELECT max(l.number) FROM task_logs l WHERE l.task_id = t.id AND l.lease_no < t.lease_no)"
            " FROM tasks t WHERE t.id = ?",
            (task_id,),
        )
        return int(rows[0][0] or 0) if rows else 0
