"""Where the pages are; what draws them is loaded when somebody opens the first of them."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from orchestrator.http.envelope import Answer
from orchestrator.http.guard import KNOWN
from orchestrator.http.scope import Asked
from worker_client.contract.enums import Scope

PAGES: Final[Mapping[str, str]] = {
    "/": "now:NOW",
    "/tasks": "tasks:LIST",
    "/tasks/new": "task_new:NEW",
    "/tasks/{task_id}": "task:TASK",
    "/directories": "directories:LIST",
    "/directory": "directories:ONE",
    "/workers": "workers:LIST",
    "/schedules": "schedules:LIST",
    "/schedules/new": "schedules:NEW",
    "/schedules/{schedule_id}": "schedules:ONE",
    "/workflows": "workflows:LIST",
    "/workflows/{workflow_id}": "workflows:ONE",
    "/runs/{run_id}": "workflows:RUN",
    "/triggers": "triggers:LIST",
    "/commands": "commands:LIST",
    "/commands/new": "commands:NEW",
    "/command": "commands:ONE",
    "/costs": "costs:LIST",
    "/advice": "advice:LIST",
    "/notifications": "notifications:LIST",
    "/notifications/new": "notifications:NEW",
    "/audit": "audit:LIST",
    "/system": "system:LIST",
}
"""The page at a path: a module of `pages/`, and the name that the page has in it. Parameters of paths are texts."""
NEEDS: Final[Mapping[str, Scope]] = {
    "/tasks/new": Scope.SUBMIT,
    "/schedules/new": Scope.ADMIN,
    "/commands/new": Scope.ADMIN,
    "/notifications/new": Scope.ADMIN,
}
"""The scope without which nothing can be done on a page, where looking is not enough."""
ASSETS: Final = ("app.js", "app.css", "icon.svg")


def _serving() -> Any:
    # Jinja2, the client's transports and the texts take 6 MB, which a server without onlookers does without.
    return import_module("orchestrator.dashboard.serving")


def _page(path: str, place: str) -> HTTPRouteHandler:
    @get(path.replace("}", ":str}"), scope=NEEDS.get(path, Scope.READ))
    async def page(request: Asked) -> Answer:
        answer: Answer = await _serving().show(request, place)
        return answer

    return page


def _asset(name: str) -> HTTPRouteHandler:
    @get(f"/assets/{name}", public=True)
    async def asset(request: Asked) -> Answer:  # noqa: ARG001 - handlers have one shape
        answer: Answer = _serving().asset(name)
        return answer

    return asset


@post("/do/{action:str}", scope=KNOWN)
async def act(request: Asked) -> Answer:
    """Do what a form of a page asks for."""
    answer: Answer = await _serving().act(request, request.path_params["action"])
    return answer


HANDLERS: Final[tuple[HTTPRouteHandler, ...]] = (
    *(_page(path, place) for path, place in PAGES.items()),
    *(_asset(name) for name in ASSETS),
    act,
)
