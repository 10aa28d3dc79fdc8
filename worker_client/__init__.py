"""SDK and worker of the task orchestrator.

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker_client.client import AsyncClient, Client
    from worker_client.contract.events import Event, Hint
    from worker_client.crew import Crew
    from worker_client.errors import (
        ConfigurationError,
        Conflict,
        Forbidden,
        LeaseLost,
        NotFound,
        OrchestratorError,
        Overloaded,
        RateLimited,
        ServerUnreachable,
        Unauthorized,
        ValidationFailed,
    )
    from worker_client.exchange import Retries
    from worker_client.feed import Reset
    from worker_client.runners.base import RunContext, Runner
    from worker_client.runners.outcomes import Done, Failed, Parked, Released
    from worker_client.shift import Shift
    from worker_client.worker import Worker

__all__ = [
    "AsyncClient",
    "Client",
    "ConfigurationError",
    "Conflict",
    "Crew",
    "Done",
    "Event",
    "Failed",
    "Forbidden",
    "Hint",
    "LeaseLost",
    "NotFound",
    "OrchestratorError",
    "Overloaded",
    "Parked",
    "RateLimited",
    "Released",
    "Reset",
    "Retries",
    "RunContext",
    "Runner",
    "ServerUnreachable",
    "Shift",
    "Unauthorized",
    "ValidationFailed",
    "Worker",
]
_MODULES = {
    "AsyncClient": "client",
    "Client": "client",
    "Event": "contract.events",
    "Hint": "contract.events",
    "Retries": "exchange",
    "Reset": "feed",
    "RunContext": "runners.base",
    "Runner": "runners.base",
    "Done": "runners.outcomes",
    "Failed": "runners.outcomes",
    "Parked": "runners.outcomes",
    "Released": "runners.outcomes",
    "Worker": "worker",
    "Crew": "crew",
    "Shift": "shift",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
