"""Commands: named prompts, to read, to write, and to make a task of."""

from typing import Final

from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.commands import ListCommands
from worker_client.errors import NotFound


async def _list(visit: Visit) -> Facts:
    query = ListCommands(q=visit.one("q")[:500] or None, limit=100, offset=visit.number("offset"))
    return {"found": await visit.ask(endpoints.list_commands(query))}


async def _one(visit: Visit) -> Facts:
    name = visit.one("name").strip("/ ")[:600]
    if not name:
        raise NotFound("there is no command without a name: the page Commands lists all there are")
    return {"command": await visit.ask(endpoints.get_command(name))}


LIST: Final = Page("commands", panels=(Panel("commands-list", _list, on=("command.*",)),))
ONE: Final = Page("command", subject=_one, part="commands")
NEW: Final = Page("command_new", part="commands")
