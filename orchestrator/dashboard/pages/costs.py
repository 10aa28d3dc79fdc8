"""Costs: what was used by day, and by whatever one wants to tell apart."""

import asyncio
from datetime import date, timedelta
from typing import Final

from msgspec import Struct

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from orchestrator.domain.moments import moment
from worker_client import endpoints
from worker_client.contract.usage import ListUsage, UsageBy, UsageRow

PERIODS: Final = (7, 30, 90, 365)
_SHOWN: Final = 15


class Bar(Struct, frozen=True):
    """A day of the chart: `height` in percent of the highest."""

    day: date
    row: UsageRow | None
    height: float


def _query(visit: Visit, by: UsageBy, limit: int) -> ListUsage:
    path = visit.one("work_path")
    since = (moment(visit.now) - timedelta(days=period(visit) - 1)).date()
    return ListUsage(by=[by], since=since, work_path=[path] if path else None, recursive=True, limit=limit)


def period(visit: Visit) -> int:
    """The days that are shown."""
    wanted = visit.number("days", 30)
    return wanted if wanted in PERIODS else 30


async def _days(visit: Visit) -> Facts:
    rows = (await visit.ask(endpoints.list_usage(_query(visit, UsageBy.DAY, 400)))).items
    today, days = moment(visit.now).date(), period(visit)
    by_day = {row.day: row for row in rows}
    # Whoever pays by subscription has no costs: then the tokens are what there is to be shown.
    in_tokens = not any(row.cost_usd for row in rows)
    amounts = {row.day: _amount(row, in_tokens=in_tokens) for row in rows}
    highest = max(amounts.values(), default=0) or 1
    shown = [today - timedelta(days=days - 1 - place) for place in range(days)]
    bars = [Bar(day, by_day.get(day), 100 * amounts.get(day, 0) / highest) for day in shown]
    return {"bars": bars, "rows": rows, "in_tokens": in_tokens, "highest": highest, "days": days, "periods": PERIODS}


def _amount(row: UsageRow, *, in_tokens: bool) -> float:
    return row.input_tokens + row.output_tokens if in_tokens else row.cost_usd


async def _groups(visit: Visit) -> Facts:
    kinds = (UsageBy.DIRECTORY, UsageBy.MODEL, UsageBy.AGENT)
    pages = await asyncio.gather(*(visit.ask(endpoints.list_usage(_query(visit, kind, 1000))) for kind in kinds))
    found = {}
    for kind, page in zip(kinds, pages, strict=True):
        most = sorted(page.items, key=lambda row: (row.cost_usd, row.input_tokens + row.output_tokens), reverse=True)
        found[str(kind)] = most[:_SHOWN]
    return {"groups": found}


LIST: Final = Page(
    "costs",
    panels=(Panel("costs-days", _days, on=("task.*",)), Panel("costs-groups", _groups, on=("task.*",))),
)
