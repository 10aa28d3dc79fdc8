"""Work directories: what waits and runs in each, and what was set for it."""

import asyncio
from datetime import timedelta
from typing import Final

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from orchestrator.domain.moments import moment
from worker_client import endpoints
from worker_client.contract.directories import Directory, ListDirectories
from worker_client.contract.enums import Status
from worker_client.contract.tasks import ListTasks
from worker_client.contract.usage import ListUsage, UsageBy
from worker_client.errors import NotFound

SHOWN: Final = (Status.RUNNING, Status.WAITING, Status.SCHEDULED, Status.BLOCKED, Status.PARKED, Status.FAILED, Status.COMPLETED)
_DAYS: Final = 14


async def _list(visit: Visit) -> Facts:
    query = ListDirectories(work_path=visit.one("work_path") or None, limit=50, offset=visit.number("offset"))
    return {"found": await visit.ask(endpoints.list_directories(query)), "statuses": SHOWN}


async def _subject(visit: Visit) -> Facts:
    return {"directory": await _directory(visit)}


async def _directory(visit: Visit) -> Directory:
    path, host = visit.one("path"), visit.one("host")
    query = ListDirectories(work_path=path or None, recursive=False, limit=1000)
    found = (await visit.ask(endpoints.list_directories(query))).items if path else []
    for directory in found:
        # A worker's path has no host in it: then the first there is, which is that of every host where tasks name none.
        if directory.host == host or "host" not in visit.query:
            return directory
    raise NotFound(f"there is no directory {path[:300]!r} here: no task is for it, and nothing was set for it")


async def _counts(visit: Visit) -> Facts:
    return {"directory": await _directory(visit), "statuses": SHOWN}


async def _settings(visit: Visit) -> Facts:
    return {"directory": await _directory(visit)}


async def _tasks(visit: Visit) -> Facts:
    path, unfinished = visit.one("path"), [Status.RUNNING, Status.WAITING, Status.PARKED, Status.BLOCKED, Status.SCHEDULED]
    going, ended = await asyncio.gather(
        visit.ask(endpoints.list_tasks(ListTasks(work_path=[path], status=unfinished, limit=20))),
        visit.ask(endpoints.list_tasks(ListTasks(work_path=[path], status=[Status.FAILED, Status.COMPLETED], limit=10))),
    )
    return {"going": going, "ended": ended, "path": path}


async def _used(visit: Visit) -> Facts:
    since = (moment(visit.now) - timedelta(days=_DAYS - 1)).date()
    directory = await _directory(visit)
    query = ListUsage(by=[UsageBy.DAY], work_path=[directory.work_directory], host=[directory.host], since=since, limit=_DAYS)
    return {"rows": (await visit.ask(endpoints.list_usage(query))).items}


LIST: Final = Page("directories", panels=(Panel("directories-list", _list, on=("task.*", "directory.*")),))
ONE: Final = Page(
    "directory",
    subject=_subject,
    part="directories",
    panels=(
        Panel("directory-counts", _counts, on=("task.*",)),
        Panel("directory-tasks", _tasks, on=("task.*",)),
        Panel("directory-settings", _settings, on=("directory.*",)),
        Panel("directory-used", _used, on=("task.*",)),
    ),
    stream=lambda visit: visit.link("", work_path=visit.one("path"), recursive="false", live="true").partition("?")[2],
)
