"""The form of a new task: filled in from the address, from another task, or with what was sent and refused."""

import asyncio
from typing import Final

from orchestrator.dashboard import drafts
from orchestrator.dashboard.asking import perhaps
from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.commands import ListCommands
from worker_client.contract.enums import Priority
from worker_client.contract.tasks import ListTasks
from worker_client.errors import OrchestratorError

_RECENT: Final = 100
_COMMANDS: Final = 200
_KINDS: Final = ("agent", "script", "http", "function")


async def _subject(visit: Visit) -> Facts:
    commands, latest, values = await asyncio.gather(
        visit.ask(endpoints.list_commands(ListCommands(limit=_COMMANDS))),
        visit.ask(endpoints.list_tasks(ListTasks(limit=_RECENT, excerpt=1))),
        _values(visit),
    )
    refused = visit.refused
    return {
        "values": values,
        "commands": [one for one in commands.items if one.problem is None],
        "places": list(dict.fromkeys(task.work_directory for task in latest.items)),
        "kinds": _KINDS,
        "priorities": list(Priority),
        "refused": refused,
        "wrong": "" if refused is None else str(refused.details.get("field", "")),
        "more": any(name in values for name in drafts.TEXTS[8:]) or any(name in values for name in drafts.FLAGS),
    }


async def _values(visit: Visit) -> dict[str, str]:
    """What stands in the fields: what was sent; else what the address says, over what the task `from` has."""
    if visit.form is not None:
        sent = {name: visit.form.text(name) for name in visit.form.names}
        return {name: value for name, value in sent.items() if value is not None}
    number = visit.number("from")
    copied = drafts.copied(await visit.ask(endpoints.get_task(number))) if number else {}
    known = {*drafts.TEXTS, *drafts.FLAGS}
    return copied | {name: values[0] for name, values in visit.query.items() if name in known or name.startswith(drafts.ARGUMENT)}


async def _arguments(visit: Visit) -> Facts:
    """The arguments of the chosen command."""
    values = await _values(visit)
    name = values.get("command", "").strip()
    command = None
    if name:
        found = await perhaps(visit.ask(endpoints.get_command(name)))
        # One that is not there is refused when it is used.
        command = None if isinstance(found, OrchestratorError) else found
    return {"values": values, "command": command}


NEW: Final = Page("task_new", subject=_subject, part="tasks", panels=(Panel("task_new-arguments", _arguments),))
