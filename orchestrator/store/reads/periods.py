"""Sums of rollups by period."""

from typing import Any, Final

from msgspec import Struct

from orchestrator.domain.principal import PathScope
from orchestrator.store.reads.conditions import within
from orchestrator.store.reads.values import Fetch

_SCOPES: Final = 64
_Row = tuple[Any, ...]


class _Kept(Struct):
    """The rows of one scope by period; those before `until` will not change any more."""

    until: int
    rows: dict[int, list[_Row]]


class Periods:
    """Sums of a rollup by minute, hour or day: what is over does not change, so that it is read once per scope."""

    def __init__(self, fetch: Fetch, table: str, period: str, sums: str, by: str) -> None:
        self._fetch = fetch
        self._select = f"SELECT {sums} FROM {table} WHERE {period} >= ?"
        self._by = f"GROUP BY {by}"
        self._scopes: dict[str, _Kept] = {}

    async def since(self, first: int, current: int, visible: PathScope) -> list[_Row]:
        """Rows from the period `first` on, each beginning with its period."""
        kept = self._scopes.get(visible.key) or _Kept(first, {})
        scope = within(visible.patterns, "path")
        fresh = await self._fetch(f"{self._select} AND {scope.sql} {self._by}", (max(first, kept.until), *scope.params))
        rows = {period: old for period, old in kept.rows.items() if first <= period < kept.until}
        for row in fresh:
            rows.setdefault(row[0], []).append(row)
        # The last period but one may still grow: a batch takes its time before it is committed.
        over = current - 1
        self._scopes.pop(visible.key, None)
        self._scopes[visible.key] = _Kept(over, {period: old for period, old in rows.items() if period < over})
        while len(self._scopes) > _SCOPES:
            del self._scopes[next(iter(self._scopes))]
        return [row for period in rows.values() for row in period]
