"""The feed as it is on disk."""

from typing import Final

from orchestrator.domain.principal import PathScope
from orchestrator.store.protocol import FeedEvent
from orchestrator.store.reads.conditions import within
from orchestrator.store.reads.values import Reading

COLUMNS: Final = "id, at, type, task_id, path, host, status, data, actor, origin, run_id, schedule_id"


class EventReads(Reading):
    """Queries for events."""

    async def events(self, after: int, limit: int, visible: PathScope) -> list[FeedEvent]:
        """Up to `limit` visible events with ids above `after`, in order."""
        scope = within(visible.patterns, "path")
        rows = await self._fetch(
            f"SELECT {COLUMNS} FROM events WHERE id > ? AND {scope.sql} ORDER BY id LIMIT ?",
            (after, *scope.params, limit),
        )
        return [FeedEvent(*row) for row in rows]

    async def event_bounds(self) -> tuple[int, int]:
        """The id of the first event that is kept (the next one's, when none is), and of the last that ever was."""
        ((first, last),) = await self._fetch(self._sql["event_bounds"], ())
        return first, last

    async def unfollowed(self) -> bool:
        """Whether something happened about runs or schedules that nobody has looked at."""
        ((found,),) = await self._fetch(self._sql["unfollowed"], ())
        return bool(found)

    async def ping(self) -> None:
        """Ask the database something; raises when it does not answer."""
        await self._fetch(self._sql["ping"], ())
