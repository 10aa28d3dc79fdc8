"""The server itself: how it is, what it has done, who may come in."""

import asyncio
from typing import Final

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.keys import ListKeys
from worker_client.contract.system import ReadSystemLogs

LEVELS: Final = ("debug", "info", "warning", "error")


async def _health(visit: Visit) -> Facts:
    health, info = await asyncio.gather(visit.ask(endpoints.get_health()), visit.ask(endpoints.system_info()))
    return {"health": health, "info": info}


async def _metrics(visit: Visit) -> Facts:
    return {"metrics": await visit.ask(endpoints.system_metrics())}


async def _keys(visit: Visit) -> Facts:
    return {"found": await visit.ask(endpoints.list_keys(ListKeys(limit=100)))}


async def _addresses(visit: Visit) -> Facts:
    return {"lists": await visit.ask(endpoints.address_lists())}


async def _log(visit: Visit) -> Facts:
    level = visit.one("level", "info")
    wanted = ReadSystemLogs(level=level if level in LEVELS else "info", q=visit.one("log")[:500] or None, limit=60)
    return {"page": await visit.ask(endpoints.system_logs(wanted)), "levels": LEVELS, "level": wanted.level}


LIST: Final = Page(
    "system",
    panels=(
        Panel("system-health", _health, on=("system.*", "schedule.*")),
        Panel("system-metrics", _metrics, on=("task.*",)),
        Panel("system-keys", _keys, on=("key.*",)),
        Panel("system-addresses", _addresses, on=("address.*",)),
        Panel("system-log", _log, on=("system.*",)),
    ),
)
