"""From a request to the handler of its route, and to the answer to whatever goes wrong there.

Handlers here have one shape: they take the request alone, and give an answer that can write itself. Litestar finds them; what it
does around handlers of every shape takes longer than most of them do.
"""

from http import HTTPStatus
from importlib import import_module
from typing import Any, Final

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope
from litestar.utils import normalize_path

from orchestrator.http.envelope import Answer, empty
from orchestrator.http.errors import HANDLERS, headed
from orchestrator.http.guard import PUBLIC, SCOPE
from orchestrator.http.login import shows_page
from orchestrator.http.scope import Asked, principal
from worker_client.contract import enums

_DECLARED: Final = {SCOPE, PUBLIC}


class Dispatch:
    """The routes of an app."""

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._route = app.asgi_router.handle_routing
        routes = (route for route in app.routes if isinstance(route, HTTPRoute))
        self._methods = {route.path_format: ", ".join(headed(route.methods)).encode() for route in routes}

    async def __call__(self, scope: Scope, receive: Receive) -> ASGIApp:
        """What is to write the answer."""
        facts: dict[str, Any] = scope  # type: ignore[assignment]
        facts["litestar_app"] = self._app
        path, method = facts["path"].removeprefix(facts["root_path"]), facts["method"]
        try:
            _, handler, facts["path"], facts["path_params"], template = self._route(path=normalize_path(path), method=method)
            facts["path_template"] = template
            if _DECLARED.isdisjoint(handler.opt):
                # What Litestar adds by itself: OPTIONS, for which it knows only the methods of the path's first handler.
                return empty(((b"allow", self._methods[template]),))
            request = Asked(scope, receive)
            needed = handler.opt.get(SCOPE)
            if isinstance(needed, enums.Scope):
                principal(request).require(needed)
            answer: ASGIApp = await handler.fn(request)
        except Exception as error:  # noqa: BLE001 - there is an answer to each
            return _readable(scope, receive, self.failed(scope, receive, error))
        return answer

    def failed(self, scope: Scope, receive: Receive, error: Exception) -> Answer:
        """The answer to an exception: that of the nearest of its classes."""
        handler = next(HANDLERS[kind] for kind in type(error).__mro__ if kind in HANDLERS)
        answer: Answer = handler(Asked(scope, receive), error)
        return answer


def _readable(scope: Scope, receive: Receive, refusal: Answer) -> Answer:
    """A refusal as a page, where a person would read it."""
    facts: dict[str, Any] = scope  # type: ignore[assignment]
    if refusal.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or not shows_page(facts):
        return refusal
    # As with all pages: what draws them takes memory, which a server without onlookers does without.
    page: Answer = import_module("orchestrator.dashboard.serving").refused(Asked(scope, receive), refusal)
    return page
