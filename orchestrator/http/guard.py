"""What each route is for: a scope, or everybody; a route that does not say so does not come into being."""

from collections.abc import Iterator
from typing import Final

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from orchestrator.http.scope import Asked, principal
from worker_client.contract.enums import Scope

SCOPE: Final = "scope"
PUBLIC: Final = "public"
KNOWN: Final = "known"
"""In place of a scope: for whoever is known."""


async def guard(request: Asked) -> None:
    """Raise Forbidden unless whoever asks has the scope of the route.

    Goes before each handler. Litestar's own guards get a copy of the handler, which costs as much as all else at the doors.
    """
    needed: object = request.route_handler.opt.get(SCOPE)
    if isinstance(needed, Scope):
        principal(request).require(needed)


def public(app: Litestar) -> frozenset[str]:
    """The paths that are for everybody. Raises TypeError for a route that declares neither that nor a scope, or has no guard."""
    found = set()
    for path, handler in handlers(app):
        if handler.opt.get(PUBLIC) is True:
            found.add(path)
        elif handler.opt.get(SCOPE) not in {*Scope, KNOWN}:
            raise TypeError(f"{path} ({handler}) declares no scope: say scope=Scope.READ or the like, or public=True")
        elif not isinstance(handler, HTTPRouteHandler) or handler.resolve_before_request() is None:
            raise TypeError(f"{path} ({handler}) has no guard: mount it in orchestrator/http/routes.py, as a handler of HTTP")
    return frozenset(found)


def handlers(app: Litestar) -> Iterator[tuple[str, BaseRouteHandler]]:
    """All that is mounted, by path; not the answers to OPTIONS that Litestar adds."""
    for route in app.routes:
        mounted = route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]
        for handler in mounted:
            if not (isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}):
                yield route.path_format, handler
