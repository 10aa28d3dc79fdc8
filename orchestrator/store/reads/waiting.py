"""What a server asks to find out which of its parked polls another server's doing concerns."""

import json
from collections.abc import Iterable
from typing import Final

from orchestrator.domain.outcomes import Ready
from orchestrator.store.reads.values import Reading

_LIMITED: Final = "SELECT path FROM directories WHERE max_running IS NOT NULL OR daily_attempts IS NOT NULL"


class WaitingReads(Reading):
    """Queries for waiting tasks and limits."""

    async def still_waiting(self, ids: Iterable[int]) -> list[Ready]:
        """Those of the tasks that wait, by id."""
        among = self._dialect.each.format("?")
        rows = await self._fetch(
            "SELECT t.id, t.path, t.host, t.kind, t.tags, t.agent FROM tasks t "
            f"WHERE t.id IN (SELECT CAST(value AS BIGINT) FROM {among}) AND t.status = 'waiting' ORDER BY t.id",
            (json.dumps(sorted(ids)),),
        )
        return [
            Ready(task_id, path, host, kind, tuple(json.loads(tags)), agent) for task_id, path, host, kind, tags, agent in rows
        ]

    async def limited(self) -> frozenset[str]:
        """The directories below which no more than some tasks may run, or begin in a day, on any host."""
        return frozenset(path for (path,) in await self._fetch(_LIMITED, ()))
