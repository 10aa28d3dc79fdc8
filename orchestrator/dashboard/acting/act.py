"""What an action is, and what comes of it."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from orchestrator.dashboard.form import Form
from orchestrator.dashboard.visit import Visit
from orchestrator.http.envelope import Header
from worker_client.endpoints import Call


class Done(Struct, frozen=True):
    """What came of it: what to tell, the page to go on at if not the same, and the address of the page that the form was on."""

    said: str
    to: str | None = None
    back: str = "/"
    headers: tuple[Header, ...] = ()


Act = Callable[[Visit, Form], Awaitable[Done]]


def calling(name: str, call: Callable[[Form], Call[Any]], *, to: str | None = None) -> Act:
    """An action that is one call; the catalogue has what is said as `did.<name>`."""

    async def act(visit: Visit, form: Form) -> Done:
        await visit.ask(call(form))
        return Done(visit.texts(f"did.{name}"), to=to, back=form.back)

    return act


def on_task(name: str, call: Callable[[int, Form], Call[Any]]) -> Act:
    """The same for the task `task_id`, whose number may be in what is said."""

    async def act(visit: Visit, form: Form) -> Done:
        task_id = form.number("task_id")
        await visit.ask(call(task_id, form))
        return Done(visit.texts(f"did.{name}", id=str(task_id)), back=form.back)

    return act
