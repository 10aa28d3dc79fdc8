"""SDK and worker of the task orchestrator.

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker_client.client import AsyncClient, Client
    from worker_client.contract.enums import ParkReason, Priority, Status
    from worker_client.contract.events import Event, Hint
    from worker_client.contract.reports import Progress, TaskError, Usage
    from worker_client.contract.tasks import Backoff, ClaimedTask, CreateTask, Task
    from worker_client.contract.workflows import Step
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
    from worker_client.hiring import Wanted, hire
    from worker_client.runners.base import RunContext, Runner
    from worker_client.runners.function import FunctionRunner
    from worker_client.runners.http import HttpRunner
    from worker_client.runners.outcomes import Done, Failed, Parked, Released
    from worker_client.runners.script import ScriptRunner
    from worker_client.shift import Shift
    from worker_client.worker import Worker

__all__ = [
    "AsyncClient",
    "Backoff",
    "ClaimedTask",
    "Client",
    "ConfigurationError",
    "Conflict",
    "CreateTask",
    "Crew",
    "Done",
    "Event",
    "Failed",
    "Forbidden",
    "FunctionRunner",
    "Hint",
    "HttpRunner",
    "LeaseLost",
    "NotFound",
    "OrchestratorError",
    "Overloaded",
    "ParkReason",
    "Parked",
    "Priority",
    "Progress",
    "RateLimited",
    "Released",
    "Reset",
    "Retries",
    "RunContext",
    "Runner",
    "ScriptRunner",
    "ServerUnreachable",
    "Shift",
    "Status",
    "Step",
    "Task",
    "TaskError",
    "Unauthorized",
    "Usage",
    "ValidationFailed",
    "Wanted",
    "Worker",
    "hire",
]
_MODULES = {
    "AsyncClient": "client",
    "Client": "client",
    "ParkReason": "contract.enums",
    "Priority": "contract.enums",
    "Status": "contract.enums",
    "Event": "contract.events",
    "Hint": "contract.events",
    "Progress": "contract.reports",
    "TaskError": "contract.reports",
    "Usage": "contract.reports",
    "Backoff": "contract.tasks",
    "ClaimedTask": "contract.tasks",
    "CreateTask": "contract.tasks",
    "Task": "contract.tasks",
    "Step": "contract.workflows",
    "Retries": "exchange",
    "Reset": "feed",
    "Wanted": "hiring",
    "hire": "hiring",
    "RunContext": "runners.base",
    "Runner": "runners.base",
    "FunctionRunner": "runners.function",
    "HttpRunner": "runners.http",
    "ScriptRunner": "runners.script",
    "Done": "runners.outcomes",
    "Failed": "runners.outcomes",
    "Parked": "runners.outcomes",
    "Released": "runners.outcomes",
    "Worker": "worker",
    "Crew": "crew",
    "Shift": "shift",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
