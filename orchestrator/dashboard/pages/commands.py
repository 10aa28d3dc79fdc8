"""Commands: named prompts, to read, to write, and to make a task of."""

from typing import Final

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.commands import ListCommands


async def _list(visit: Visit) -> Facts:
    query = ListCommands(q=visit.one("q")[:500] or None, limit=100, offset=visit.number("offset"))
    return {"found": await visit.ask(endpoints.list_commands(query))}


async def _one(visit: Visit) -> Facts:
    return {"command": await visit.ask(endpoints.get_command(visit.one("name")[:600]))}


LIST: Final = Page("commands", panels=(Panel("commands-list", _list, on=("command.*",)),))
ONE: Final = Page("command", subject=_one, part="commands")
NEW: Final = Page("command_new", part="commands")
