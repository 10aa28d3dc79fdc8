"""Who is here: what each holds, what it asks for, and the accounts that wait for their quota."""

from typing import Final

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.accounts import ListAccounts
from worker_client.contract.workers import ListWorkers


async def _list(visit: Visit) -> Facts:
    return {"found": await visit.ask(endpoints.list_workers(ListWorkers(limit=100, offset=visit.number("offset"))))}


async def _accounts(visit: Visit) -> Facts:
    return {"found": await visit.ask(endpoints.list_accounts(ListAccounts(limit=100)))}


LIST: Final = Page(
    "workers",
    panels=(
        Panel("workers-list", _list, on=("task.*", "worker.*")),
        Panel("workers-accounts", _accounts, on=("account.*", "task.parked")),
    ),
)
