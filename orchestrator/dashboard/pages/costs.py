"""Costs: what was used by day, and by whatever one wants to tell apart."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

from msgspec import Struct

from orchestrator.dashboard import charts, measures
from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from orchestrator.domain.budgets import micros, usd
from orchestrator.domain.moments import moment
from worker_client import endpoints
from worker_client.contract.usage import ListUsage, UsageBy, UsageRow, UsageSort, Used

PERIODS: Final = (7, 30, 90, 365)
_KEPT: Final = 400
_SHOWN: Final = 10
_WEEKLY: Final = 100
"""Of more days the bars are weeks: they would be too thin to be told apart."""
_LEAST: Final = 0.01
"""A cent: what costs less in all is worth no comparison."""


class Group(Struct, frozen=True):
    """What cost most of one sort: `bars` in percent of the first, `shares` of all; `more`: how many are not shown."""

    kind: str
    rows: Sequence[UsageRow]
    bars: Sequence[float]
    shares: Sequence[float]
    more: int


class Bar(Struct, frozen=True):
    """What was used from one day to another."""

    first: date
    last: date
    used: Used

    @property
    def name(self) -> str:
        """The day, or both."""
        return str(self.first) if self.first == self.last else f"{self.first} \N{EN DASH} {self.last}"


def period(visit: Visit) -> int:
    """The days that are shown."""
    wanted = visit.number("days", 30)
    return wanted if wanted in PERIODS else 30


def _today(visit: Visit) -> date:
    return moment(visit.now).date()


def _query(visit: Visit, by: UsageBy, days: int, **more: Any) -> ListUsage:
    path, tag = visit.one("work_path"), visit.one("tag")
    return ListUsage(
        by=[by],
        since=_today(visit) - timedelta(days=days - 1),
        work_path=[path] if path else None,
        recursive=True,
        tag=[tag] if tag else None,
        **more,
    )


async def _by_day(visit: Visit) -> tuple[list[UsageRow], list[UsageRow]]:
    """The days of the period, and those of the one before it."""
    days = period(visit)
    # The days of the period before are wanted only where all of them are kept.
    asked = 2 * days if 2 * days <= _KEPT else days
    rows = (await visit.once(endpoints.list_usage(_query(visit, UsageBy.DAY, asked, limit=_KEPT)))).items
    first = _today(visit) - timedelta(days=days - 1)
    return [row for row in rows if row.day and row.day >= first], [row for row in rows if row.day and row.day < first]


def _sum(rows: Sequence[UsageRow]) -> Used:
    sums = {name: sum(getattr(row, name) for row in rows) for name in Used.__struct_fields__}
    # As the ledger counts: a sum of fractions is a little off, and then some cents are others than in the tables below.
    return Used(**{**sums, "cost_usd": usd(sum(micros(row.cost_usd) for row in rows))})


def _amount(used: Used, *, in_tokens: bool) -> float:
    return used.input_tokens + used.output_tokens if in_tokens else used.cost_usd


async def _days(visit: Visit) -> Facts:
    rows, before = await _by_day(visit)
    total, days = _sum(rows), period(visit)
    # Whoever pays by subscription has no costs: then the tokens are what there is to be shown.
    in_tokens = not total.cost_usd
    earlier = _sum(before).cost_usd
    bars = _bars(rows, _today(visit), days)
    columns = [charts.Column((_amount(bar.used, in_tokens=in_tokens),), _title(visit, bar)) for bar in bars]
    chart = charts.amounts(columns, ("c",), measures.large if in_tokens else measures.money)
    return {
        "total": total,
        "change": total.cost_usd / earlier - 1 if earlier >= _LEAST else None,
        "chart": chart,
        "highest": max(bars, key=lambda bar: _amount(bar.used, in_tokens=in_tokens)) if rows else None,
        "in_tokens": in_tokens,
        "days": days,
        "each": "week" if days > _WEEKLY else "day",
        "labels": [bars[0].first, bars[(len(bars) - 1) // 2].first, bars[-1].last],
    }


def _bars(rows: Sequence[UsageRow], today: date, days: int) -> list[Bar]:
    """A bar for each day or week, the last one ends today."""
    size = 7 if days > _WEEKLY else 1
    found: defaultdict[int, list[UsageRow]] = defaultdict(list)
    for row in rows:
        if row.day is not None:
            found[(today - row.day).days // size].append(row)
    ends = [(place, today - timedelta(days=place * size)) for place in reversed(range(-(-days // size)))]
    return [Bar(last - timedelta(days=size - 1), last, _sum(found[place])) for place, last in ends]


def _title(visit: Visit, bar: Bar) -> str:
    tokens = visit.texts("costs.tokens", n=bar.used.input_tokens + bar.used.output_tokens)
    return f"{bar.name} · {measures.money(bar.used.cost_usd)} · {tokens}"


async def _groups(visit: Visit) -> Facts:
    # By tag there is no ledger of models and agents.
    kinds = (UsageBy.DIRECTORY,) if visit.one("tag") else (UsageBy.DIRECTORY, UsageBy.TAG, UsageBy.MODEL, UsageBy.AGENT)
    queries = (_query(visit, kind, period(visit), sort=UsageSort.COST, limit=_SHOWN) for kind in kinds)
    asked = asyncio.gather(*(visit.ask(endpoints.list_usage(query)) for query in queries))
    (rows, _), pages = await asyncio.gather(_by_day(visit), asked)
    total = _sum(rows)
    in_tokens = not total.cost_usd
    whole = _amount(total, in_tokens=in_tokens)
    groups = []
    for kind, page in zip(kinds, pages, strict=True):
        amounts = [_amount(row, in_tokens=in_tokens) for row in page.items]
        bars = [100 * amount / (amounts[0] or 1) for amount in amounts]
        shares = [100 * amount / (whole or 1) for amount in amounts]
        groups.append(Group(str(kind), page.items, bars, shares, page.total - len(page.items)))
    # The longest lists are beside each other.
    return {"columns": [groups[::3], groups[1:3]] if len(groups) > 1 else [groups]}


LIST: Final = Page(
    "costs",
    panels=(Panel("costs-days", _days, on=("task.*",)), Panel("costs-groups", _groups, on=("task.*",))),
)
