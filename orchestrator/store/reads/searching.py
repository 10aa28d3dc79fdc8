"""Looking for words: in the index, and directly in what has happened since it was read."""

import asyncio
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from orchestrator.domain.principal import Pattern
from orchestrator.domain.words import Phrase, Texts, finds, may_find, phrases, places, words
from orchestrator.store.reads.conditions import ALWAYS, Condition
from orchestrator.store.reads.driving import Selection
from orchestrator.store.reads.values import COUNTED, Reading
from worker_client.errors import Overloaded

SLICE: Final = 100
"""Tasks whose texts are read at once; between two slices everybody else goes on."""
_LONG: Final = 500
"""Words of a task that are looked at before others have their turn."""
_UNREAD_EVENTS: Final = 30_000
_UNREAD_TASKS: Final = 10_000
_NEWEST: Final = 2_000
_DENSE: Final = 200
"""So many of the newest with the words: the others are soon found, one after the other."""
_FEW: Final = 2_000
"""Tasks that are looked at directly rather than found among very many that have the words."""
_CHUNKS: Final = 30
_HIGHEST: Final = 2**62
_SILENT: Final = frozenset(
    f"task.{kind}" for kind in ("claimed", "ready", "released", "undelivered", "unblocked", "cancel_requested", "drain_requested")
)
"""Events after which the texts of a task are what they were."""
_FILTERED: Final = ", ".join(
    f"t.{name}"
    for name in (
        "id", "path", "status", "priority", "kind", "tags", "agent", "worker_id", "schedule_id", "workflow_id", "run_id",
        "created_at", "hold", "hold_until",
    )
)  # fmt: skip
"""What conditions are about."""


class BehindError(Overloaded):
    """More has happened than the index of words has read, or can be looked at directly."""


class Standing(NamedTuple):
    """How far the index is, see domain/records.py."""

    last_event: int
    unread: int
    version: int


class Unread(NamedTuple):
    """(event, task) of events after which the words of the task may be others; the last one of all that were looked at."""

    events: list[tuple[int, int]]
    last: int
    more: bool


class Chunk(NamedTuple):
    """Ids in order; `further`: where the next ones begin, None: there are no more."""

    ids: list[int]
    further: int | None


class Found(NamedTuple):
    """Tasks that were looked for, in order; how many there are at least, and whether those are `all`."""

    ids: list[int]
    counted: int
    all: bool


class Search(Struct):
    """What is looked for: in the index by `match`, but for the tasks that have `changed`; of those `found` are some, ascending.

    `unread`: tasks with ids up to this one are not in the index yet. `dense`: that many tasks are found; None: nobody has looked.
    """

    said: str
    asked: tuple[Phrase, ...]
    match: str
    changed: frozenset[int]
    found: list[int]
    unread: int
    dense: bool | None = None


class SearchReads(Reading):
    """Queries for words."""

    async def indexing(self) -> Standing:
        """How far the index is."""
        ((last_event, unread, version),) = await self._fetch(self._sql["indexing"], ())
        return Standing(last_event, unread, version)

    async def events_unread(self, after: int, limit: int) -> Unread:
        """Up to `limit` events after one."""
        rows = await self._fetch(self._sql["events_unread"], (after, limit))
        found = [(number, task_id) for number, task_id, kind in rows if task_id and kind not in _SILENT]
        return Unread(found, rows[-1][0] if rows else after, more=len(rows) >= limit)

    async def tasks_unread(self, last: int, limit: int) -> list[int]:
        """The highest ids of tasks up to one, descending."""
        return [task_id for (task_id,) in await self._fetch(self._sql["tasks_unread"], (last, limit))]

    async def texts(self, ids: Iterable[int]) -> dict[int, Texts]:
        """The texts of the tasks that there are."""
        rows = await self._fetch(self._sql["texts"], (json.dumps(list(ids)),))
        return {task_id: Texts(*texts) for task_id, *texts in rows}

    async def _search(self, q: str, patterns: Iterable[Iterable[Pattern] | None]) -> Search | None:
        """Begin to look for what is asked for, in tasks that lie in all the places; None when it has no words.

        Raises BehindError.
        """
        asked = phrases(q)
        if not asked:
            return None
        standing = await self.indexing()
        unread = await self.events_unread(standing.last_event, _UNREAD_EVENTS)
        changed = sorted({task_id for _, task_id in unread.events})
        if len(changed) > _UNREAD_TASKS or unread.more:
            raise BehindError(
                "more has happened in the last moments than can be searched at once; it is being put into the index: try again",
                retry_after=2.0,
            )
        match = self._dialect.matching.asked(asked, map(places, patterns))
        return Search(q, asked, match, frozenset(changed), await self._directly(asked, changed), standing.unread)

    async def _directly(self, asked: Sequence[Phrase], ids: Sequence[int]) -> list[int]:
        """Those of the tasks whose texts have the words, in the order of the ids."""
        found = []
        for first in range(0, len(ids), SLICE):
            texts = await self.texts(ids[first : first + SLICE])
            for task_id in ids[first : first + SLICE]:
                if task_id in texts and may_find(asked, texts[task_id]):
                    among = words(texts[task_id])
                    if finds(asked, among):
                        found.append(task_id)
                    if len(among) > _LONG:
                        await asyncio.sleep(0)
        return found

    async def _next(self, search: Search, place: int | None, *, descending: bool) -> Chunk:
        """The next tasks that have the words, from behind a place on."""
        low, high = (-1, _HIGHEST if place is None else place) if descending else (place or -1, _HIGHEST)
        chunk = None
        if descending and not self._dialect.ordered and search.dense is not False:
            chunk = await self._newest(search, low, high)
        if chunk is None:
            name = "words_before" if descending else "words_after"
            rows = await self._fetch(self._sql[name], (search.match, low, high, COUNTED + 1))
            ids = [task_id for (task_id,) in rows]
            chunk = Chunk(ids, ids[-1] if len(ids) > COUNTED else None)
        if chunk.further is not None:
            low, high = (chunk.further - 1, high) if descending else (low, chunk.further + 1)
        more = search.found[bisect_right(search.found, low) : bisect_left(search.found, high)]
        ids = sorted({*(task_id for task_id in chunk.ids if task_id not in search.changed), *more}, reverse=descending)
        return Chunk(ids, chunk.further)

    async def _newest(self, search: Search, low: int, high: int) -> Chunk | None:
        """One task after the other, while many of them have the words: an index without an order would have to bring them all."""
        most = _NEWEST if search.dense is None else 5 * _NEWEST
        rows = await self._fetch(self._sql["words_newest"], (search.match, low, high, most))
        ids = [task_id for task_id, has in rows if has]
        if len(rows) < most:
            return Chunk(ids, None)
        if search.dense is None:
            search.dense = len(ids) >= _DENSE
        return Chunk(ids, rows[-1][0]) if search.dense else None

    async def _fitting(self, ids: Sequence[int], where: Condition) -> list[int]:
        """Those of the tasks that a condition is true of, in the order of the ids."""
        if where == ALWAYS or not ids:
            return list(ids)
        among = self._dialect.each.format("?")
        # First the tasks by their ids, then the condition: an index that knows a part of it may lead to many more.
        rows: list[tuple[Any, ...]] = await self._fetch(
            f"WITH found AS MATERIALIZED (SELECT {_FILTERED} FROM tasks t"
            f" WHERE t.id IN (SELECT CAST(value AS BIGINT) FROM {among}))"
            f" SELECT t.id FROM found t WHERE {where.sql}",
            (json.dumps(list(ids)), *where.params),
        )
        fit = {task_id for (task_id,) in rows}
        return [task_id for task_id in ids if task_id in fit]

    async def _newest_found(self, search: Search, selection: Selection, wanted: int, before: int | None) -> Found:
        """At least `wanted` tasks of a selection that have the words, newest first, or all there are, with ids below `before`."""
        chunk = await self._next(search, None, descending=True)
        ids = await self._fitting(chunk.ids, selection.whole)
        counted, everything = len(ids), chunk.further is None
        if before is not None:
            if chunk.further is None or chunk.further < before:
                ids = [task_id for task_id in ids if task_id < before]
            else:
                chunk, ids = Chunk([], before), []
        if chunk.further is not None and len(ids) < wanted and selection.driven:
            few = await self._fetch(*_limited(selection.ids(after=None, descending=True), _FEW + 1))
            if len(few) <= _FEW:
                every = await self._directly(search.asked, [task_id for (task_id,) in few])
                return Found([one for one in every if before is None or one < before], len(every), all=True)
        for _ in range(_CHUNKS):
            if chunk.further is None or len(ids) >= wanted:
                return Found(ids, max(counted, len(ids)), everything or (before is None and chunk.further is None))
            chunk = await self._next(search, chunk.further, descending=True)
            ids += await self._fitting(chunk.ids, selection.whole)
        raise Overloaded(
            f"{search.said!r} is in very many tasks, and of those that were looked at too few are what else is asked for: "
            "ask for less, by work_path, status or more words",
            retry_after=5.0,
        )

    async def _found_after(self, search: Search, selection: Selection, after: int, limit: int) -> list[int]:
        """Tasks of a selection that have the words, ascending. Raises BehindError."""
        if search.unread:
            raise BehindError(
                f"the index of words is being made, and the tasks up to {search.unread} are not in it yet: "
                "try again later, or ask without `q`",
                retry_after=30.0,
            )
        ids: list[int] = []
        place: int | None = after
        while place is not None and len(ids) < limit:
            chunk = await self._next(search, place, descending=False)
            ids += await self._fitting(chunk.ids, selection.whole)
            place = chunk.further
        return ids[:limit]


def _limited(ids: Condition, limit: int) -> tuple[str, tuple[Any, ...]]:
    return ids.sql, (*ids.params, limit, 0)
