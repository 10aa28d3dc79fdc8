"""What is done to many tasks at once: to those that are checked, or to all that a filter finds."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestrator.dashboard.acting.act import Act, Done
from orchestrator.dashboard.asked import filtered
from orchestrator.dashboard.asking import perhaps
from orchestrator.dashboard.form import Form
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.enums import Priority
from worker_client.contract.tasks import Counted, Reason, TaskFilter, UpdateTask
from worker_client.endpoints import Call
from worker_client.errors import OrchestratorError, ValidationFailed

_VERBS: Final[Mapping[str, Callable[[int, Form], Call[Any]]]] = {
    "retry": lambda task_id, _: endpoints.retry(task_id),
    "cancel": lambda task_id, _: endpoints.cancel(task_id, Reason()),
    "delete": lambda task_id, _: endpoints.delete_task(task_id),
    "priority": lambda task_id, form: endpoints.update_task(task_id, UpdateTask(priority=_priority(form))),
}
_ALL: Final[Mapping[str, Callable[[TaskFilter], Call[Counted]]]] = {
    "retry": endpoints.retry_many,
    "cancel": endpoints.cancel_many,
}


async def _checked(visit: Visit, form: Form) -> Done:
    """Change the checked tasks; those that cannot be changed stay as they are, and the first reason is told."""
    verb = _one_of(form, _VERBS)
    ids = form.numbers("task_id")
    if not ids:
        raise ValidationFailed(visit.texts("tasks.none_checked"), field="task_id")
    found = await asyncio.gather(*(perhaps(visit.ask(_VERBS[verb](task_id, form))) for task_id in ids))
    refused = [one for one in found if isinstance(one, OrchestratorError)]
    if len(refused) == len(ids):
        raise refused[0]
    said = visit.texts(f"tasks.did_{verb}", n=len(ids) - len(refused))
    if refused:
        said += " " + visit.texts("tasks.did_not", n=len(refused), why=refused[0].message)
    return Done(said, back=form.back)


async def _matching(visit: Visit, form: Form) -> Done:
    """Change all tasks that the filter of the page finds."""
    verb = _one_of(form, _ALL)
    counted = await visit.ask(_ALL[verb](filtered(form.all)))
    return Done(visit.texts(f"tasks.did_{verb}", n=counted.count), back=form.back)


def _one_of(form: Form, known: Mapping[str, Any]) -> str:
    verb = form.needed("verb")
    if verb not in known:
        raise ValidationFailed(f"`verb` is {verb[:100]!r}: expected one of {', '.join(known)}", field="verb")
    return verb


def _priority(form: Form) -> Priority:
    text = form.needed("priority")
    if text not in set(Priority):
        raise ValidationFailed(f"`priority` is {text[:100]!r}: expected one of {', '.join(Priority)}", field="priority")
    return Priority(text)


ACTIONS: Final[Mapping[str, Act]] = {"tasks_checked": _checked, "tasks_matching": _matching}
