"""Plain Python functions as runners: one for a whole kind, or those that tasks of kind `function` may name."""

import asyncio
import inspect
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from typing import Any, Final

import msgspec

from worker_client.contract.specs import FunctionSpec
from worker_client.contract.tasks import ClaimedTask
from worker_client.errors import ConfigurationError
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Done, Failed, Outcome, Parked, Released

logger = logging.getLogger("worker_client")
Handler = Callable[[RunContext], Any]
"""Takes the context; returns the result as JSON, or an Outcome. A function that isn't async runs in a thread of its own."""
BUILTIN: Final = "builtin:"
AGAIN: Final = timedelta(seconds=30)
"""A task whose function this worker doesn't offer may come back to it after so long."""


class HandlerRunner:
    """Runs the tasks of one kind with one function."""

    needs_directory = False

    def __init__(self, kind: str, handler: Handler) -> None:
        self.kind = kind
        self._handler = handler

    async def run(self, context: RunContext) -> Outcome:
        """Call the function."""
        value = await _called(self._handler, partial(self._handler, context), context)
        return value if isinstance(value, Done | Failed | Parked | Released) else Done(value)


class FunctionRunner:
    """Kind `function`: calls the functions it was given, by their names, and no others; see `functions_named`.

    A function with a parameter `context` is given the RunContext. It returns the result as JSON, or an Outcome.
    """

    kind = "function"
    needs_directory = False

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._functions = dict(functions)

    def objection(self, task: ClaimedTask) -> str | None:
        """Why a task is one for others; None when its function is offered here, or it names none at all."""
        name = (task.spec or {}).get("name")
        if not isinstance(name, str) or name in self._functions:
            return None
        return f"this worker offers no function {name!r}; it has: {', '.join(sorted(self._functions)) or 'none'}"

    async def run(self, context: RunContext) -> Outcome:
        """Call the function that the task names."""
        if (objection := self.objection(context.task)) is not None:
            return Released(objection, datetime.now(UTC) + AGAIN)
        try:
            spec = msgspec.convert(context.task.spec or {}, FunctionSpec)
        except msgspec.ValidationError as error:
            return Failed(type="InvalidSpec", message=f"spec of a function task: {error}", retryable=False)
        function, signature = self._functions[spec.name], _signature(self._functions[spec.name])
        keywords = {**spec.kwargs, **({"context": context} if _takes_context(signature) else {})}
        try:
            if signature is not None:
                signature.bind(*spec.args, **keywords)
        except TypeError as error:
            return Failed(type="InvalidSpec", message=f"{spec.name} can't be called with this: {error}", retryable=False)
        value = await _called(function, partial(function, *spec.args, **keywords), context)
        return _outcome(spec.name, value)


def functions_named(
    names: Iterable[str], builtin: Mapping[str, Callable[..., Any]] | None = None
) -> dict[str, Callable[..., Any]]:
    """Imports what a worker offers: each `package.module:function`, or `NAME=package.module:function`.

    `builtin:Time` is the one of `builtin` that has this name, `builtin:all` all of them. Modules below the current directory are
    found, after installed ones. Raises ConfigurationError.
    """
    own = builtin or {}
    found: dict[str, Callable[..., Any]] = {}
    if "" not in sys.path:
        sys.path.append("")
    for given in _one_by_one(names, own):
        name, sign, path = given.partition("=")
        path = path if sign else name
        if path.startswith(BUILTIN):
            name = name.removeprefix(BUILTIN)
        if name in found:
            raise ConfigurationError(f"two functions are called {name}; give one of them another name: NAME={path}")
        found[name] = _builtin(path.removeprefix(BUILTIN), own) if path.startswith(BUILTIN) else _imported(path)
    return found


def _one_by_one(names: Iterable[str], own: Mapping[str, Callable[..., Any]]) -> Iterator[str]:
    for given in names:
        yield from (f"{BUILTIN}{name}" for name in own) if given == f"{BUILTIN}all" else (given,)


def _builtin(name: str, own: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    if name not in own:
        raise ConfigurationError(f"there is no built-in function {name!r}; there are: all, {', '.join(own)}")
    return own[name]


def _imported(path: str) -> Callable[..., Any]:
    module, sign, inner = path.partition(":")
    if not (module and sign and inner):
        raise ConfigurationError(f"{path!r} names no function; write package.module:function or NAME=package.module:function")
    try:
        value: Any = import_module(module)
        for name in inner.split("."):
            value = getattr(value, name)
    except Exception as error:
        raise ConfigurationError(f"the function {path} can't be imported: {type(error).__name__}: {error}") from error
    if not callable(value):
        raise ConfigurationError(f"{path} is no function, but of type {type(value).__name__}")
    function: Callable[..., Any] = value
    return function


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """None of what is written in C and doesn't tell."""
    try:
        return inspect.signature(function)
    except ValueError:
        return None


def _takes_context(signature: inspect.Signature | None) -> bool:
    parameter = None if signature is None else signature.parameters.get("context")
    return parameter is not None and parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}


def _outcome(name: str, value: Any) -> Outcome:
    outcome = value if isinstance(value, Done | Failed | Parked | Released) else Done(value)
    if isinstance(outcome, Done):
        try:
            msgspec.json.encode(outcome.result)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            message = f"{name} did its work, but what it returned is no JSON: {error}"
            return Failed(type="ResultNotJson", message=message, retryable=False)
    return outcome


async def _called(function: Callable[..., Any], call: Callable[[], Any], context: RunContext) -> Any:
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004  whether it is async
        return await call()
    value = await _in_thread(call, context.task)
    return await value if inspect.isawaitable(value) else value


async def _in_thread(call: Callable[[], Any], task: ClaimedTask) -> Any:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(value) if error is None else ended.set_exception(error)

    def work() -> None:
        value, error = None, None
        try:
            value = call()
        except Exception as raised:  # noqa: BLE001  it's the caller's to judge
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, error)

    # A thread of an executor would keep the process from ending when the function doesn't.
    threading.Thread(target=work, name=f"task-{task.id}", daemon=True).start()
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        # A thread can't be ended from outside. It sees `context.cancelled`; the next cancellation gives it up.
        try:
            await asyncio.wait({ended})
        except asyncio.CancelledError:
            logger.error("task %d: the function doesn't look at `cancelled` and goes on in its thread", task.id)  # noqa: TRY400  its trace says nothing
            raise
        return ended.result()
