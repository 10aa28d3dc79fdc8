"""Who asks, and on behalf of which trace: the one place that knows."""

import re
from collections.abc import Mapping
from typing import Any, Final

from litestar import Request

from orchestrator.domain.principal import OPEN, Principal

Asked = Request[Any, Any, Any]
"""A request as handlers take it; `request.app.state` has `queue`, `store`, `metrics`, `settings` and `started`."""

REQUEST_ID: Final = "orchestrator.request_id"
_TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def principal(_request: Asked) -> Principal:
    """The caller. Until keys exist the server listens on loopback only, and everybody there may do everything."""
    return OPEN


def trace(request: Asked) -> str | None:
    """The W3C `traceparent` of the request, when it has a valid one."""
    for name, value in request.scope["headers"]:
        if name == b"traceparent":
            return value.decode("ascii") if _TRACE.fullmatch(value) else None
    return None


def request_id(scope: Mapping[str, Any]) -> str:
    """The id under which the log has everything about this request."""
    return str(scope.get(REQUEST_ID, ""))
