"""Advice about the whole: what goes wrong, what it rests on, and what to do."""

from typing import Final

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.advice import ListAdvice


async def _list(visit: Visit) -> Facts:
    path = visit.one("work_path")
    query = ListAdvice(work_path=[path] if path else None, recursive=True, limit=30, offset=visit.number("offset"))
    return {"found": await visit.ask(endpoints.list_advice(query))}


LIST: Final = Page("advice", panels=(Panel("advice-list", _list),))
