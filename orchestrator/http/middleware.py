"""What every request passes, in one layer: its id, its time, its line in the log."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.domain.principal import OPEN
from orchestrator.http.envelope import Answer, refusal
from orchestrator.http.scope import HEAD, HELD, PRINCIPAL, REQUEST_ID, logged_request_id
from orchestrator.http.visitors import Visitors
from orchestrator.telemetry.metrics import UNMATCHED, Metrics
from worker_client.errors import NotFound

_HEADER = b"x-request-id"
_SAFE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


class Frame:
    """Around everything, unknown paths included.

    `visitors` judges who may ask at all; `ids` makes the ids of requests that bring none that is fit for a log; `methods`: those
    of each path template.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        visitors: Visitors,
        ids: Callable[[], str],
        methods: Mapping[str, Iterable[str]],
    ) -> None:
        self._app = app
        self._visitors = visitors
        self._methods = {template: ", ".join(headed(names)).encode() for template, names in methods.items()}
        self._metrics = metrics
        self._ids = ids
        # Bound once: the lazy logger would find its configuration anew for every line that is not even written.
        self._log = structlog.get_logger().bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; streams and held answers are not timed."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        method: str = scope["method"]
        if method == "HEAD":
            # The server leaves the body out by the method of the scope that is its own.
            scope = {**scope, "method": "GET", HEAD: True}  # type: ignore[assignment]
        facts: dict[str, Any] = scope  # type: ignore[assignment]
        request_id, refused = self._looked_over(facts)
        facts[REQUEST_ID] = request_id
        facts[PRINCIPAL] = OPEN
        header = (_HEADER, request_id.encode())
        status = 0

        def framed(message: Message) -> Any:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], header]
                message["headers"] = headers if method != "OPTIONS" else self._corrected(facts, headers)
            return send(message)

        token = logged_request_id.set(request_id)
        try:
            await (self._app if refused is None else refused)(scope, receive, framed)
        finally:
            seconds = time.perf_counter() - started
            template = facts.get("path_template", UNMATCHED)
            if HELD not in facts:
                self._metrics.responded(method, template, status, seconds)
            # Many 503 are a busy server that says so, and not a defect of each.
            if (status >= 500 and status != 503) or not status:
                self._log.error("request", method=method, **_line(facts, status, seconds))
            elif status >= 400:
                self._log.info("request", method=method, **_line(facts, status, seconds))
            else:
                self._log.debug("request", method=method, route=template, status=status, seconds=seconds)
            logged_request_id.reset(token)

    def _looked_over(self, facts: dict[str, Any]) -> tuple[str, Answer | None]:
        """The id of a request, and the refusal of one that no handler gets to see; one pass over the headers."""
        request_id = host = origin = site = credentials = None
        preflight = False
        for name, value in facts["headers"]:
            if name == b"host":
                # Of several, one that is wrong is enough.
                host = value if host is None or host == value else b"%b, %b" % (host, value)
            elif name == _HEADER:
                request_id = request_id or value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"authorization":
                # Of several, none counts.
                credentials = value if credentials is None else b""
            elif name == b"access-control-request-method":
                preflight = facts["method"] == "OPTIONS"
        named = request_id.decode("ascii") if request_id is not None and _SAFE.fullmatch(request_id) else self._ids()
        path: str = facts["path"]
        if (forbidden := self._visitors.refused(path, host, origin, site, credentials, preflight=preflight)) is not None:
            return named, refusal(forbidden)
        if "//" in path:
            # Routing would fold it, and so /tasks//cancel, where an id is missing, into a call on many tasks.
            told = f"there is nothing at {path[:200]}: a part between its slashes is empty"
            return named, refusal(NotFound(told, path=path[:200]))
        return named, None

    def _corrected(self, facts: dict[str, Any], headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Litestar's own answers to OPTIONS name only the methods that the path had when its first handler came."""
        allowed = self._methods.get(facts.get("path_template", ""))
        return [(name, allowed if allowed and name.lower() == b"allow" else value) for name, value in headers]


def headed(methods: Iterable[str]) -> list[str]:
    """Methods in their order, with the HEAD that comes with every GET."""
    found = set(methods)
    return sorted(found | {"HEAD"} if "GET" in found else found)


def _line(facts: dict[str, Any], status: int, seconds: float) -> dict[str, Any]:
    """Never the query or a body: they hold prompts and secrets."""
    ids = {name: value[:20] for name, value in facts.get("path_params", {}).items()}
    return {"path": facts["path"][:200], "status": status, "seconds": round(seconds, 6), **ids}
