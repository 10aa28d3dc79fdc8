"""The audit trail: who changed what, when, and from where."""

from typing import Final

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.audit import ListAudit


async def _list(visit: Visit) -> Facts:
    actors, types, path = visit.many("actor"), visit.many("type"), visit.one("work_path")
    task_id, cursor = visit.number("task_id"), visit.one("cursor")
    query = ListAudit(
        actor=actors or None,
        type=types or None,
        task_id=[task_id] if task_id else None,
        work_path=[path] if path else None,
        cursor=cursor or None,
        limit=50,
    )
    return {"found": await visit.ask(endpoints.list_audit(query))}


LIST: Final = Page("audit", panels=(Panel("audit-list", _list, on=("*",)),))
