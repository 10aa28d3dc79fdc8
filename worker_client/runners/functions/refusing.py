"""Why a built-in function does not do what it was asked for."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from worker_client.runners.outcomes import Failed


class Refused(Exception):
    """The call can't be carried out; another attempt would not help, unless it is `retryable`."""

    def __init__(self, kind: str, message: str, *, retryable: bool = False, **details: Any) -> None:
        super().__init__(message)
        self.outcome = Failed(type=kind, message=message, details=details, retryable=retryable)


def invalid(message: str) -> Refused:
    """The refusal of an argument."""
    return Refused("InvalidArgument", message)


def not_set_up(function: str, example: str) -> Refused:
    """The refusal of what the worker's settings say nothing of."""
    said = f"{function} is not set up at this worker: its file of settings (worker.toml) needs [functions.{function.lower()}]"
    return Refused("NotSetUp", f"{said} with {example}")


def answering(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; a refusal is how its task fails."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def later(*args: Any, **named: Any) -> Any:
            try:
                return await function(*args, **named)
            except Refused as refused:
                return refused.outcome

        return later

    @functools.wraps(function)
    def now(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except Refused as refused:
            return refused.outcome

    return now
