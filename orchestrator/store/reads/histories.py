"""What happened to one task: its events, which no index finds, by the times at which something did."""

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Any, Final

import msgspec

from orchestrator.domain.principal import PathScope
from orchestrator.domain.task import Millis
from orchestrator.store.protocol import FeedEvent
from orchestrator.store.reads.conditions import Condition, all_of, any_of, within
from orchestrator.store.reads.events import COLUMNS, EventReads

MOST_LOOKED_AT: Final = 100_000
"""Events of others that are looked through for those of one task."""
_MOST_TIMES: Final = 200
_encode = msgspec.json.Encoder().encode
Range = tuple[int, int]


class HistoryReads(EventReads):
    """Queries for the events of a task."""

    async def events_of(
        self, task_id: int, times: Collection[Millis], limit: int, visible: PathScope
    ) -> tuple[list[FeedEvent], bool]:
        """The last events of a task in their order, and whether these are all since it was created.

        `times`: when something happened to it, its creation and its last change among them. Of a long time between these two
        only the beginning, the end and those times are looked at.
        """
        first, last = await self.event_bounds()
        told = sorted(set(times))
        known = {told[0], *told[-_MOST_TIMES:]}
        places = await self._places({*known, *(at + 1 for at in known)}, first, last)
        ranges, whole = _looked_at(sorted((places[at], places[at + 1] - 1) for at in known))
        where = all_of([
            Condition("task_id = ?", (task_id,)),
            any_of([Condition("id BETWEEN ? AND ?", one) for one in ranges]),
            within(visible.patterns, "path"),
        ])  # fmt: skip
        rows = await self._fetch(
            f"SELECT {COLUMNS} FROM events WHERE {where.sql} ORDER BY id DESC LIMIT ?", (*where.params, limit)
        )
        found = [FeedEvent(*row) for row in reversed(rows)]
        return found, whole and bool(found) and found[0].type == "task.created"

    async def _places(self, times: Iterable[Millis], first: int, last: int) -> dict[Millis, int]:
        """For each time the id of the first event at or after it, by halving: ids are in the order of their times."""
        bounds = dict.fromkeys(times, (first, last + 1))
        while middles := {at: (low + high) // 2 for at, (low, high) in bounds.items() if low < high}:
            asked = _encode(sorted(set(middles.values()))).decode()
            rows = await self._fetch(
                "SELECT m.value, e.id, e.at FROM"
                f" (SELECT CAST(value AS BIGINT) AS value FROM {self._dialect.each.format('?')}) m LEFT JOIN events e"
                " ON e.id = (SELECT min(n.id) FROM events n WHERE n.id >= m.value)",
                (asked,),
            )
            next_to: dict[int, tuple[Any, Any]] = {value: (event_id, at) for value, event_id, at in rows}
            for time, middle in middles.items():
                low, high = bounds[time]
                event_id, at = next_to[middle]
                bounds[time] = (low, middle) if at is None or at >= time else (min(high, event_id + 1), high)
        return {time: low for time, (low, _) in bounds.items()}


def _looked_at(places: list[Range]) -> tuple[list[Range], bool]:
    """Ranges of ids from the first of these to the last, not too long in all; and whether nothing between is left out."""
    begin, end = places[0][0], max(high for _, high in places)
    if end - begin < MOST_LOOKED_AT:
        return [(begin, end)], True
    share = MOST_LOOKED_AT // 2
    found = sorted([(begin, begin + share), *places, (end - share, end)])
    merged = [found[0]]
    for low, high in found[1:]:
        if low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged, all(high + 1 >= low for (_, high), (low, _) in pairwise(merged))
