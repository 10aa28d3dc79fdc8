"""The first page: what runs, what waits and why, and what needs a person."""

from typing import Final

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.enums import Status
from worker_client.contract.tasks import ListTasks

_MOST: Final = 50


async def _running(visit: Visit) -> Facts:
    return {"found": await visit.ask(endpoints.list_tasks(ListTasks(status=[Status.RUNNING], limit=_MOST)))}


NOW: Final = Page("now", panels=(Panel("now-running", _running, on=("task.*",)),))
