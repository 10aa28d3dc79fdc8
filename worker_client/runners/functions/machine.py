"""Monitor and Report: how this machine is, and how the tasks went."""

import platform
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psutil

from worker_client.client import AsyncClient
from worker_client.contract.attempts import Attempt
from worker_client.errors import Forbidden, OrchestratorError
from worker_client.runners.functions.refusing import Refused, invalid

_SAMPLE_SECONDS: Final = 0.2
_PERIODS: Final = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=30),
}
_PAGE: Final = 1000
_MOST: Final = 10_000
_NAMED: Final = 20


def monitor(item: str = "system") -> dict[str, Any]:
    """`cpu`, `memory`, `disk`, `network`, `load`, or `system` for all."""
    named = str(item).strip().lower()
    if named in _ITEMS:
        return {"item": named, named: _ITEMS[named]()}
    if named in {"system", "all"}:
        return {"item": named, "host": platform.node(), **{name: read() for name, read in _ITEMS.items()}}
    raise invalid(f"{named[:40]!r} is nothing to look at: use one of {', '.join(_ITEMS)}, system")


def _memory() -> dict[str, Any]:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "total": memory.total,
        "available": memory.available,
        "percent": memory.percent,
        "swap_total": swap.total,
        "swap_percent": swap.percent,
    }


def _disk() -> list[dict[str, Any]]:
    found = {}
    for mount in dict.fromkeys(["/", *(partition.mountpoint for partition in psutil.disk_partitions())]):
        with suppress(OSError):
            usage = psutil.disk_usage(mount)
            found[mount] = {"mount": mount, "total": usage.total, "free": usage.free, "percent": usage.percent}
    return list(found.values())


def _network() -> dict[str, Any]:
    counted = psutil.net_io_counters()
    # None where there is no network at all.
    return {"bytes_sent": getattr(counted, "bytes_sent", 0), "bytes_received": getattr(counted, "bytes_recv", 0)}


def _load() -> dict[str, Any]:
    one, five, fifteen = psutil.getloadavg()
    return {
        "1m": one,
        "5m": five,
        "15m": fifteen,
        "processes": len(psutil.pids()),
        "up_seconds": int(time.time() - psutil.boot_time()),
    }


_ITEMS: Final[dict[str, Callable[[], Any]]] = {
    "cpu": lambda: {"percent": psutil.cpu_percent(_SAMPLE_SECONDS), "cores": psutil.cpu_count()},
    "memory": _memory,
    "disk": _disk,
    "network": _network,
    "load": _load,
}


class Reports:
    """`client`: makes one of the server, with the worker's own key."""

    def __init__(self, client: Callable[[], AsyncClient]) -> None:
        self._client = client

    async def report(self, kind: str = "daily") -> dict[str, Any]:
        """How the attempts of a period ended that the worker's key sees: `hourly`, `daily`, `weekly` or `monthly`."""
        named = str(kind).strip().lower()
        if named not in _PERIODS:
            raise invalid(f"{named[:40]!r} is no report: use one of {', '.join(_PERIODS)}")
        until = datetime.now(UTC)
        since = until - _PERIODS[named]
        try:
            async with self._client() as client:
                attempts, cut = await _attempts(client, since)
        except Forbidden as error:
            raise Refused("NotAllowed", f"the worker's key needs the scope read for reports: {error}") from error
        except OrchestratorError as error:
            raise Refused("ReportError", str(error), retryable=True) from error
        return {"report": named, "since": since.isoformat(), "until": until.isoformat(), "cut": cut, **_summary(attempts)}


async def _attempts(client: AsyncClient, since: datetime) -> tuple[list[Attempt], bool]:
    found: list[Attempt] = []
    cursor: str | None = None
    while len(found) < _MOST:
        page = await client.list_attempts(started_after=since, limit=_PAGE, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found, False
    return found, True


def _summary(attempts: list[Attempt]) -> dict[str, Any]:
    failed = [one for one in attempts if one.outcome in {"failed", "expired"}]
    durations = [one.duration_ms for one in attempts if one.duration_ms is not None]
    return {
        "attempts": len(attempts),
        "by_outcome": Counter(str(one.outcome) for one in attempts),
        "by_kind": Counter(one.kind for one in attempts),
        "by_directory": dict(Counter(one.work_directory for one in attempts).most_common(_NAMED)),
        "mean_ms": round(sum(durations) / len(durations)) if durations else None,
        "failures": [
            {
                "task_id": one.task_id,
                "type": one.error.type if one.error else str(one.outcome),
                "message": one.error.message[:200] if one.error else "",
            }
            for one in failed[:_NAMED]
        ],
    }
