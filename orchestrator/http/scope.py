"""Who asks, and on behalf of which trace: the one place that knows."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Final

from litestar import Request
from litestar.types import Receive, Scope
from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from orchestrator.domain.operations import Operation
from orchestrator.domain.principal import Principal
from orchestrator.doors.keyring import Caller
from orchestrator.queue.commit import Queue
from worker_client.errors import Forbidden, ValidationFailed


class Asked(Request[Any, Any, Any]):
    """A request as handlers take it; `request.app.state` has `queue`, `store`, `metrics`, `settings` and `started`."""

    __slots__ = ()

    def __init__(self, scope: Scope, receive: Receive) -> None:
        # What Litestar notes down in each scope would be kept for as long as an answer is held.
        self.scope = scope  # type: ignore[assignment]
        self.receive = receive


PRINCIPAL: Final = "orchestrator.principal"
CALLER: Final = "orchestrator.caller"
"""How the principal is known, where the doors have let it in."""
REQUEST_ID: Final = "orchestrator.request_id"
HELD: Final = "orchestrator.held"
HEAD: Final = "orchestrator.head"
"""Stands in the scope of a HEAD, which is handled as the GET of its path."""
# What structlog's bind_contextvars comes to, at a tenth of its cost.
logged_request_id: ContextVar[str] = ContextVar(f"{STRUCTLOG_KEY_PREFIX}request_id")
logged_worker_id: ContextVar[str] = ContextVar(f"{STRUCTLOG_KEY_PREFIX}worker_id")
_LARGEST: Final = 2**63 - 1
_LONGEST: Final = len(str(_LARGEST))
_LONGEST_NAME: Final = 255
_TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def below_root(facts: Mapping[str, Any]) -> str:
    """The path of a request without the prefix of a proxy, which is taken off once: a page below it may have the same name."""
    path: str = facts["path"]
    return path if "path_template" in facts else path.removeprefix(facts.get("root_path", ""))


def principal(request: Asked) -> Principal:
    """The caller, as the doors know it."""
    found: Principal = request.scope[PRINCIPAL]  # type: ignore[typeddict-item]
    return found


def unlimited(request: Asked) -> None:
    """Raise Forbidden when the caller is limited to some directories."""
    if principal(request).paths.patterns is not None:
        raise Forbidden("this key is limited to some directories, and this concerns the whole server: ask with one that is not")


def caller(request: Asked) -> Caller:
    """How the doors know the caller."""
    found: Caller = request.scope[CALLER]  # type: ignore[typeddict-item]
    return found


def origin(request: Asked) -> str:
    """The address of the client, empty when it has none."""
    client = request.scope["client"]
    return "" if client is None else client[0]


def trace(request: Asked) -> str | None:
    """The W3C `traceparent` of the request, when it has a valid one."""
    for name, value in request.scope["headers"]:
        if name == b"traceparent":
            return value.decode("ascii") if _TRACE.fullmatch(value) else None
    return None


def submit(request: Asked, op: Operation, *, wait_ms: int = 0) -> "asyncio.Future[Any]":
    """Hand an operation to the queue, on behalf of whoever asks."""
    queue: Queue = request.app.state.queue
    return queue.submit(op, principal(request), trace(request), wait_ms=wait_ms, origin=origin(request))


def submit_all(request: Asked, operations: Iterable[Operation]) -> "list[asyncio.Future[Any]]":
    """Hand in many at once, so that they share a transaction."""
    queue: Queue = request.app.state.queue
    by, traced, at = principal(request), trace(request), origin(request)
    return [queue.submit(op, by, traced, origin=at) for op in operations]


def request_id(scope: Mapping[str, Any]) -> str:
    """The id under which the log has everything about this request."""
    return str(scope.get(REQUEST_ID, ""))


def hold(request: Asked) -> None:
    """The answer may be kept back on purpose, so how long it takes says nothing about the server."""
    request.scope[HELD] = True  # type: ignore[typeddict-unknown-key]


def path_name(request: Asked, name: str) -> str:
    """The name in the path. Raises ValidationFailed for what cannot be one."""
    text: str = request.scope["path_params"][name]
    if 0 < len(text) <= _LONGEST_NAME and "\0" not in text:
        return text
    raise ValidationFailed(f"{text[:100]!r} is no name: send 1 to {_LONGEST_NAME} characters, none of them NUL", field=name)


def path_id(request: Asked, name: str = "task_id") -> int:
    """The id in the path. Raises ValidationFailed for anything else."""
    text: str = request.scope["path_params"][name]
    if text.isascii() and text.isdecimal() and len(text) <= _LONGEST and 1 <= (found := int(text)) <= _LARGEST:
        return found
    raise ValidationFailed(f"{text[:100]!r} is no id: ids are whole numbers from 1 to {_LARGEST}", field=name)
