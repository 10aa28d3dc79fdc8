"""What each route is for: a scope, or everybody; a route that does not say so does not come into being."""

from collections.abc import Iterator
from typing import Any, Final

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from orchestrator.domain.principal import Principal
from orchestrator.http.scope import PRINCIPAL
from worker_client.contract.enums import Scope

SCOPE: Final = "scope"
PUBLIC: Final = "public"
KNOWN: Final = "known"
"""In place of a scope: for whoever is known."""


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raise Forbidden unless whoever asks has the scope of the route."""
    needed: object = handler.opt.get(SCOPE)
    if isinstance(needed, Scope):
        by: Principal = connection.scope[PRINCIPAL]  # type: ignore[typeddict-item]
        by.require(needed)


def public(app: Litestar) -> frozenset[str]:
    """The paths that are for everybody. Raises TypeError for a route that declares neither that nor a scope."""
    found = set()
    for path, handler in handlers(app):
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
