"""What every request passes, in one layer: the doors, its id, its time, its line in the log, the headers of its answer."""

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.http.delivery import line
from orchestrator.http.dispatch import Dispatch
from orchestrator.http.envelope import Answer, Header, refusal
from orchestrator.http.hardening import NO_SNIFFING, ONLY_TLS
from orchestrator.http.login import to_login
from orchestrator.http.scope import CALLER, HEAD, HELD, PRINCIPAL, REQUEST_ID, logged_request_id
from orchestrator.http.visitors import Heard, Visit, Visitors, heard, shown
from orchestrator.telemetry.metrics import UNMATCHED, Metrics
from worker_client.errors import NotFound, ValidationFailed

if TYPE_CHECKING:
    from orchestrator.telemetry.traces import Traces

_HEADER = b"x-request-id"
_SAFE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_HOST = re.compile(rb"[A-Za-z0-9._~:@%!$&'()*+,;=\[\]-]*")
"""RFC 3986, 3.2.2."""
_DENIED: Final = "websocket.http.response"
"""The ASGI extension by which a WebSocket is refused with an answer."""
_POLICY: Final = 1008
SWITCHED: Final = 101


class Frame:
    """Around everything, unknown paths included.

    `visitors` judges who may ask at all; `ids` makes the ids of requests that bring none that is fit for a log.
    """

    def __init__(self, app: Litestar, metrics: Metrics, visitors: Visitors, ids: Callable[[], str]) -> None:
        self.dispatch = Dispatch(app)
        self.traces: Traces | None = None
        self._others = app.asgi_handler
        self._visitors = visitors
        self._metrics = metrics
        self._ids = ids
        # Bound once: the lazy logger would find its configuration anew for every line that is not even written.
        self._log = structlog.get_logger().bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; streams and held answers are not timed."""
        if scope["type"] != ScopeType.HTTP:
            await self._other(scope, receive, send)
            return
        started = time.perf_counter()
        method: str = scope["method"]
        if method == "HEAD":
            # The server leaves the body out by the method of the scope that is its own.
            scope = {**scope, "method": "GET", HEAD: True}  # type: ignore[assignment]
        facts: dict[str, Any] = scope  # type: ignore[assignment]
        told = heard(facts["headers"], method)
        visit, refused = self._visit(facts, told)
        sending = _Sending(send, self._headers(facts, told, visit))
        token = logged_request_id.set(facts[REQUEST_ID])
        traced = None if self.traces is None or refused is not None else self.traces.request(facts, method)
        try:
            answer = refused or await self.dispatch(scope, receive)
            if isinstance(answer, Answer):
                await sending.whole(answer, scope, receive)
            else:
                await self._stream(answer, scope, receive, sending)
        finally:
            self._told(facts, method, sending.status, time.perf_counter() - started)
            if traced is not None:
                traced.over(facts, method, sending.status)
            logged_request_id.reset(token)

    async def _stream(self, answer: ASGIApp, scope: Scope, receive: Receive, sending: "_Sending") -> None:
        try:
            await answer(scope, receive, sending)
        except Exception as error:
            if sending.status:
                raise
            await sending.whole(self.dispatch.failed(scope, receive, error), scope, receive)

    def _told(self, facts: dict[str, Any], method: str, status: int, seconds: float) -> None:
        """Count and log a request that is over."""
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

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a WebSocket, for which the doors are the same, and whatever else there is."""
        facts: dict[str, Any] = scope  # type: ignore[assignment]
        if facts["type"] == ScopeType.WEBSOCKET:
            _, refused = self._visit(facts, heard(facts["headers"], "GET"))
            if refused is not None:
                await _deny(refused, facts, receive, send)
                return
        await self._others(scope, receive, send)

    def _visit(self, facts: dict[str, Any], told: Heard) -> tuple[Visit, Answer | None]:
        """Who asks, which the scope tells from here on; and the answer to a request that no handler gets to see."""
        visit = self._visitors.visit(facts, told)
        facts[CALLER], facts[PRINCIPAL] = visit.caller, visit.caller.principal
        named = told.id is not None and _SAFE.fullmatch(told.id)
        facts[REQUEST_ID] = told.id.decode("ascii") if named else self._ids()  # type: ignore[union-attr]
        path: str = facts["path"]
        if visit.refused is not None:
            return visit, to_login(facts, visit.refused) or refusal(visit.refused)
        if told.host is not None and not _HOST.fullmatch(told.host):
            told_so = f"{shown(told.host)} is no host: send the name or the address of this server"
            return visit, refusal(ValidationFailed(told_so, field="Host"))
        if told.coding is not None:
            # Nothing is ever unpacked, so nothing can swell.
            told_so = f"the body is sent as {shown(told.coding)}: this server takes only identity, so send it as it is"
            return visit, refusal(ValidationFailed(told_so, field="Content-Encoding"))
        if "//" in path:
            # Routing would fold it, and so /tasks//cancel, where an id is missing, into a call on many tasks.
            told_so = f"there is nothing at {path[:200]}: a part between its slashes is empty"
            return visit, refusal(NotFound(told_so, path=path[:200]))
        return visit, visit.answer

    def _headers(self, facts: dict[str, Any], told: Heard, visit: Visit) -> list[Header]:
        """What an answer carries beside its own headers."""
        added = [(_HEADER, facts[REQUEST_ID].encode()), NO_SNIFFING]
        if facts["scheme"] == "https":
            added.append(ONLY_TLS)
        if visit.allowance is not None:
            added += visit.allowance.headers
        if visit.answer is None:
            added += self._visitors.cors.headers(told.origin)
        return added


class _Sending:
    """An answer on its way out, with the headers that all have."""

    __slots__ = ("_headers", "_send", "status")

    def __init__(self, send: Send, headers: list[Header]) -> None:
        self.status = 0
        self._send = send
        self._headers = headers

    def __call__(self, message: Message) -> Any:
        """ASGI's send."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._headers]
        return self._send(message)

    async def whole(self, answer: Answer, scope: Scope, receive: Receive) -> None:
        """Send all of it at once, where the server can."""
        answer = answer.ready(scope, receive)
        to = line(scope)
        if to is not None and to.write(scope, answer.status_code, [*answer.raw_headers, *self._headers], answer.body):
            self.status = answer.status_code
        else:
            await answer(scope, receive, self)

    def switch(self, scope: Scope, answer: Callable[[list[Header]], bytes], hear: Callable[[bytes], None]) -> bool:
        """Speak something else than HTTP after this answer, where the server can."""
        to = line(scope)
        if to is None or not to.switch(scope, answer(self._headers), hear):
            return False
        self.status = SWITCHED
        return True


async def _deny(refused: Answer, facts: dict[str, Any], receive: Receive, send: Send) -> None:
    """Refuse a WebSocket before it is accepted: with the answer, where the server can send one."""
    await receive()
    if _DENIED in (facts.get("extensions") or {}):
        start: Any = {"type": f"{_DENIED}.start", "status": refused.status_code, "headers": refused.raw_headers}
        await send(start)
        body: Any = {"type": f"{_DENIED}.body", "body": refused.body}
        await send(body)
    else:
        await send({"type": "websocket.close", "code": _POLICY, "reason": ""})


def _line(facts: dict[str, Any], status: int, seconds: float) -> dict[str, Any]:
    """Never the query or a body: they hold prompts and secrets."""
    ids = {name: value[:20] for name, value in facts.get("path_params", {}).items()}
    return {"path": facts["path"][:200], "status": status, "seconds": round(seconds, 6), "by": facts[PRINCIPAL].id, **ids}
