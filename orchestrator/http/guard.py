"""What each route is for: a scope, or everybody; a route that does not say so does not come into being."""

from collections.abc import Iterator
from typing import Final

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from worker_client.contract.enums import Scope

SCOPE: Final = "scope"
PUBLIC: Final = "public"
KNOWN: Final = "known"
"""In place of a scope: for whoever is known."""


def public(app: Litestar) -> frozenset[str]:
    """The paths that are for everybody. Raises TypeError for a route that declares neither that nor a scope."""
    found = set()
    for path, handler in handlers(app):
        if not isinstance(handler, HTTPRouteHandler):
            raise TypeError(f"{path} ({handler}) is no handler of HTTP: nothing would look at its scope")
        if handler.opt.get(PUBLIC) is True:
            found.add(path)
        elif handler.opt.get(SCOPE) not in {*Scope, KNOWN}:
            raise TypeError(f"{path} ({handler}) declares no scope: say scope=Scope.READ or the like, or public=True")
    return frozenset(found)


def handlers(app: Litestar) -> Iterator[tuple[str, BaseRouteHandler]]:
    """All that is mounted, by path; not the answers to OPTIONS that Litestar adds."""
    for route in app.routes:
        mounted = route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]
        for handler in mounted:
            if not (isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}):
                yield route.path_format, handler
