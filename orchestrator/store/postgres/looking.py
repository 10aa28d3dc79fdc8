"""What one server asks of the database about the others: how it stands, and who asks for work there."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from orchestrator.domain.outcomes import Ready
from orchestrator.domain.paths import span
from orchestrator.domain.source import Stream
from orchestrator.domain.task import Millis
from orchestrator.store.postgres.engine import SERVED
from orchestrator.store.postgres.standing import Standing
from orchestrator.store.protocol import Asker, Look
from orchestrator.store.reads import Fetch
from worker_client.contract.specs import DIRECTORYLESS

_NOBODY: Final = "\x01"
"""A host that there is not: whoever may run anywhere is kept back only by what holds a directory on all hosts."""


class Looking:
    """`server` names this one among those that share the database; `read` is told its clock."""

    def __init__(
        self, fetch: Fetch, sql: Mapping[str, str], server: str, standing: Standing, read: Callable[[Millis], Millis]
    ) -> None:
        self._fetch = fetch
        self._sql = sql
        self._server = server
        self._standing = standing
        self._read = read

    async def look(self, paths: Sequence[str], roots: Sequence[str]) -> Look:
        """How the database stands, and what waits in `paths` and in or below `roots`."""
        standing = self._standing
        search = standing.begin()
        try:
            ((last_event, now, *times),) = await self._fetch(self._sql["standing"], (search.floor,))
        except BaseException:
            standing.forget(search)
            raise
        self._read(now)
        standing.looked(search, now, *times)
        streams = await self._fetch(self._sql["streams_among"], (sorted({*paths, *roots}),)) if paths or roots else []
        for root in roots:
            streams += await self._fetch(self._sql["streams_below"], span(root))
        return Look(
            last_event=last_event,
            next_due=standing.due,
            leases=standing.leases,
            next_fire=standing.fires,
            ready=await self._free({(path, kind, host, agent) for path, kind, host, agent, *_ in streams}),
        )

    async def _free(self, streams: set[Stream]) -> list[Ready]:
        if not streams:
            return []
        asked = sorted({(path, host or _NOBODY) for path, _, host, _ in streams})
        facts: list[dict[str, Any]] = []
        for path, host in asked:
            low, high = span(path)
            facts.append({"path": path, "host": host, "low": low, "high": high, "any": False})
        rows = await self._fetch(self._sql["leases_among"], (json.dumps(facts),))
        owned = {(path, host) for path, host, held, *_ in rows if held}
        return [
            Ready(0, path, host, kind, (), agent)
            for path, kind, host, agent in sorted(streams)
            if kind in DIRECTORYLESS or (path, host or _NOBODY) not in owned
        ]

    async def servers(self) -> int:
        """How many servers there are: each holds the same lock, shared with the others, for as long as it is there."""
        ((found,),) = await self._fetch(self._sql["servers"], (SERVED,))
        return int(found)

    async def share(self, askers: Sequence[Asker]) -> None:
        """Tell the other servers who asks here."""
        rows = [{"worker_id": one.worker_id, "seen_at": one.seen_at, "present": one.present} for one in askers]
        await self._fetch(self._sql["share"], (self._server, json.dumps(rows)))

    async def askers(self, since: Millis) -> list[Asker]:
        """Who has asked at other servers since a time; those of long before are forgotten."""
        rows = await self._fetch(self._sql["askers"], (since, self._server))
        return [Asker(worker_id, seen_at, present) for worker_id, seen_at, present in rows]
