"""What was used, from the ledger."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any, Final

from msgspec.structs import replace

from orchestrator.domain.budgets import day_of, usd
from orchestrator.domain.principal import PathScope
from orchestrator.domain.task import Millis
from orchestrator.store.reads.conditions import Condition, all_of, asked, one_of, within
from orchestrator.store.reads.dialect import Dialect
from orchestrator.store.reads.periods import Periods
from orchestrator.store.reads.values import COUNTED, Fetch, Listing, Reading, total_of
from worker_client.contract.usage import ListUsage, UsageBy, UsageRow, UsageSort, UsageSummary, Used
from worker_client.errors import ValidationFailed

_EPOCH: Final = date(1970, 1, 1)
_KEPT: Final = 400
_MONTH: Final = 30
_WEEK: Final = 7
_TOP: Final = 100
_COLUMNS: Final = {
    UsageBy.DAY: "day",
    UsageBy.DIRECTORY: "path",
    UsageBy.HOST: "host",
    UsageBy.MODEL: "model",
    UsageBy.AGENT: "agent",
    UsageBy.TAG: "tag",
}
_UNTAGGED: Final = (UsageBy.HOST, UsageBy.MODEL, UsageBy.AGENT)
"""What the ledger of tags does not tell apart: with all of it, it would be a row for each combination."""
_COUNTS: Final = ("attempts", "input_tokens", "output_tokens", "cached_tokens", "micros", "duration_ms")
# Not as integers: of those the sum might be too large for one database and not for the other.
_SUMS: Final = ", ".join(f"coalesce(sum({name} * 1.0), 0)" for name in _COUNTS)
_Row = tuple[Any, ...]


class UsageReads(Reading):
    """Queries for what was used."""

    def __init__(self, fetch: Fetch, dialect: Dialect) -> None:
        super().__init__(fetch, dialect)
        self._days = Periods(self._fetch, "task_usage", "day", f"day, {_SUMS}", "day")

    async def usage_summary(self, now: Millis, visible: PathScope) -> UsageSummary:
        """What was used today, lately and by whom."""
        today = day_of(now)
        month = ListUsage(limit=_TOP, since=_date(today - _MONTH + 1))
        days, models, directories = await asyncio.gather(
            self._days.since(today - _KEPT + 1, today, visible),
            self._dearest(replace(month, by=[UsageBy.MODEL]), visible),
            self._dearest(replace(month, by=[UsageBy.DIRECTORY]), visible),
        )
        return UsageSummary(
            today=_since(days, today),
            last_7_days=_since(days, today - _WEEK + 1),
            last_30_days=_since(days, today - _MONTH + 1),
            total=_since(days, 0),
            by_model=models.items,
            by_directory=directories.items,
        )

    async def used_today(self, now: Millis, visible: PathScope) -> Used:
        """What was used since midnight, UTC."""
        today = day_of(now)
        return _since(await self._days.since(today - _KEPT + 1, today, visible), today)

    async def usage(self, query: ListUsage, visible: PathScope) -> Listing[UsageRow]:
        """Sums by what the query tells apart. Its paths must be canonical. Raises ValidationFailed for what no ledger has."""
        if query.sort is UsageSort.COST:
            return await self._dearest(query, visible)
        ledger, where, columns = _ledger(query), _where(query, visible), _columns(query)
        groups = ", ".join(columns)
        total, exact = total_of(await self._count_groups(query, visible))
        order = ", ".join(f"{name} DESC" if name == "day" else name for name in columns)
        rows = await self._fetch(
            f"SELECT {groups}, {_SUMS} FROM {ledger} WHERE {where.sql} GROUP BY {groups} ORDER BY {order} LIMIT ? OFFSET ?",
            (*where.params, query.limit, query.offset),
        )
        return Listing(items=[_row(columns, row) for row in rows], total=total, total_exact=exact)

    async def _count_groups(self, query: ListUsage, visible: PathScope) -> int:
        where, groups = _where(query, visible), ", ".join(_columns(query))
        among = f"SELECT 1 AS one FROM {_ledger(query)} WHERE {where.sql} GROUP BY {groups} LIMIT {COUNTED + 1}"
        ((counted,),) = await self._fetch(f"SELECT count(*) FROM ({among}) g", where.params)
        return int(counted)

    async def _dearest(self, query: ListUsage, visible: PathScope) -> Listing[UsageRow]:
        """The groups that cost most, or else used most tokens."""
        where, columns = _where(query, visible), _columns(query)
        groups = ", ".join(columns)
        # All groups are summed up to find the dearest: to count them meanwhile costs nothing, and after that as much again.
        rows = await self._fetch(
            f"SELECT {groups}, {_SUMS}, count(*) OVER () FROM {_ledger(query)} WHERE {where.sql} GROUP BY {groups}"
            f" ORDER BY sum(micros * 1.0) DESC, sum(input_tokens * 1.0 + output_tokens) DESC, {groups} LIMIT ? OFFSET ?",
            (*where.params, query.limit, query.offset),
        )
        counted = rows[0][-1] if rows else await self._count_groups(query, visible)
        total, exact = total_of(counted)
        return Listing(items=[_row(columns, row[:-1]) for row in rows], total=total, total_exact=exact)


def _columns(query: ListUsage) -> list[str]:
    return [_COLUMNS[by] for by in dict.fromkeys(query.by)]


def _ledger(query: ListUsage) -> str:
    """The ledger that has what the query asks for."""
    if UsageBy.TAG not in query.by and query.tag is None:
        return "task_usage"
    for other in _UNTAGGED:
        if other in query.by or getattr(query, other) is not None:
            field = "by" if other in query.by else str(other)
            raise ValidationFailed(
                f"`{field}` asks for the {other}, and what was used by tag is kept by day and directory alone:"
                f" leave the {other} out, or the tag",
                field=field,
            )
    if UsageBy.TAG not in query.by and len(set(query.tag or ())) > 1:
        raise ValidationFailed(
            "`tag` names several, and a task that has two of them would count twice: send one, or by=tag to tell them apart",
            field="tag",
        )
    return "tag_usage"


def _where(query: ListUsage, visible: PathScope) -> Condition:
    parts = [within(asked(query.work_path, recursive=query.recursive), "path"), within(visible.patterns, "path")]
    names = ("host", "model", "agent", "tag")
    parts += [one_of(name, wanted) for name in names if (wanted := getattr(query, name)) is not None]
    if query.since is not None:
        parts.append(Condition("day >= ?", ((query.since - _EPOCH).days,)))
    if query.until is not None:
        parts.append(Condition("day <= ?", ((query.until - _EPOCH).days,)))
    return all_of(parts)


def _since(rows: Iterable[_Row], first: int) -> Used:
    found = [row[1:] for row in rows if row[0] >= first]
    return Used(**_sums([sum(column) for column in zip(*found, strict=True)] or [0] * len(_COUNTS)))


def _row(columns: Sequence[str], row: _Row) -> UsageRow:
    facts: dict[str, Any] = dict(zip(columns, row, strict=False))
    if "day" in facts:
        facts["day"] = _date(facts["day"])
    if "path" in facts:
        facts["work_directory"] = facts.pop("path")
    return UsageRow(**facts, **_sums(row[len(columns) :]))


def _sums(counts: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: int(n) for name, n in zip(_COUNTS, counts, strict=True)}
    cost = found.pop("micros")
    return {**found, "cost_usd": usd(cost)}


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)
