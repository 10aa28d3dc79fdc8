"""Every route, by resource."""

from litestar import Router
from litestar.handlers import HTTPRouteHandler

from orchestrator.http import bulk, claims, holding, logs, reports, tasks

API: list[HTTPRouteHandler] = [
    *tasks.HANDLERS,
    *bulk.HANDLERS,
    *claims.HANDLERS,
    *reports.HANDLERS,
    *holding.HANDLERS,
    *logs.HANDLERS,
]
"""Below /api/v1."""
ROOT: list[HTTPRouteHandler] = []
"""Beside it."""


def routers() -> list[Router]:
    """All of them, for the app."""
    return [Router(path="/api/v1", route_handlers=list(API)), Router(path="/", route_handlers=list(ROOT))]
