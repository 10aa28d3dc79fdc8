"""Every route, by resource."""

from litestar import Router
from litestar.handlers import HTTPRouteHandler

from orchestrator.http import (
    accounts,
    advice,
    attempts,
    audit,
    bulk,
    claims,
    commands,
    deployment,
    directories,
    events,
    health,
    histories,
    holding,
    ip_control,
    keys,
    login,
    logs,
    mcp,
    metrics,
    notifications,
    outputs,
    public_hooks,
    reports,
    runs,
    schedules,
    schema,
    sockets,
    statistics,
    system,
    system_logs,
    tasks,
    triggers,
    usage,
    workers,
    workflows,
)

API: list[HTTPRouteHandler] = [
    *tasks.HANDLERS,
    *bulk.HANDLERS,
    *commands.HANDLERS,
    *claims.HANDLERS,
    *reports.HANDLERS,
    *holding.HANDLERS,
    *logs.HANDLERS,
    *outputs.HANDLERS,
    *histories.HANDLERS,
    *attempts.HANDLERS,
    *workers.HANDLERS,
    *accounts.HANDLERS,
    *directories.HANDLERS,
    *statistics.HANDLERS,
    *advice.HANDLERS,
    *usage.HANDLERS,
    *events.HANDLERS,
    *sockets.HANDLERS,
    *keys.HANDLERS,
    *audit.HANDLERS,
    *ip_control.HANDLERS,
    *schedules.HANDLERS,
    *system.HANDLERS,
    *system_logs.HANDLERS,
    *workflows.HANDLERS,
    *runs.HANDLERS,
    *deployment.HANDLERS,
    *triggers.HANDLERS,
    *notifications.HANDLERS,
    *public_hooks.HANDLERS,
]
"""Below /api/v1."""
ROOT: list[HTTPRouteHandler] = [
    *sockets.AT_ROOT,
    *health.HANDLERS,
    *metrics.HANDLERS,
    *schema.HANDLERS,
    *login.HANDLERS,
    *mcp.HANDLERS,
]
"""Beside it."""


def routers() -> list[Router]:
    """All of them, for the app."""
    return [
        Router(path="/api/v1", route_handlers=list(API)),
        Router(path="/", route_handlers=list(ROOT)),
    ]
