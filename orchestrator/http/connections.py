"""What clients may cost before anybody knows who they are: connections, unfinished requests, answers that nobody takes."""

import asyncio
import select
from collections.abc import Callable, Iterable
from typing import Any, Final

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from orchestrator.http.delivery import LINE
from orchestrator.http.envelope import Header, refusal
from orchestrator.http.hardening import NO_SNIFFING
from orchestrator.http.lean import Event, Flow, Pipeline
from orchestrator.settings import Limits
from worker_client.errors import OrchestratorError, Overloaded, ValidationFailed

_SLOW_S: Final = 1.0
_HOOKS: Final = "/public/webhook"
_HOOK_BYTES: Final = 25 * 1024 * 1024
"""What GitHub may send there, whatever the setting says."""
_UNREAD: Final = 4 * 1024 * 1024
_END_OF_HEADERS: Final = b"\r\n\r\n"
_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})
_CLOSE: Final[tuple[Header, ...]] = ((b"connection", b"close"),)
Sheds = Callable[[HTTPScope], OrchestratorError | None]


class State(ServerState):
    """What all connections know; `leaving`: the server is about to stop, and each answer is the last of its connection."""

    leaving = False


class Protocol(HttpToolsProtocol):
    """One connection: knows what its client owes it, and tells handlers when the client has closed its end.

    `most`: connections at once; `ends`: knows who has hung up; `sheds`: why a request is refused before it is read, if it is.
    """

    server_state: State
    # Ten thousand of them are cheaper so.
    __slots__ = (
        "_begun",
        "_body",
        "_ends",
        "_header_bytes",
        "_hear",
        "_heard",
        "_idle_since",
        "_largest_body",
        "_line",
        "_most",
        "_moved_at",
        "_seen_body",
        "_seen_unsent",
        "_shed",
        "_sheds",
        "_socket",
        "_turned_away",
        "_waiting",
    )  # fmt: skip

    def __init__(self, *args: Any, limits: Limits, most: int, ends: "Ends", sheds: Sheds) -> None:
        super().__init__(*args)
        self._header_bytes = limits.header_bytes
        # Whoever sends too much learns of it, most of them, when they have sent all.
        self._largest_body = 2 * limits.max_body_bytes
        self._most = most
        # When the client connected, or began to send what is not whole yet; bytes of that, and of its body alone.
        self._begun: float | None = None
        self._heard = self._body = 0
        # What the last look found, and when one last found more of a body, or less of an answer to be sent.
        self._seen_body = self._seen_unsent = 0
        self._moved_at = 0.0
        self._idle_since = 0.0
        self._turned_away = False
        self._sheds = sheds
        self._shed: OrchestratorError | None = None
        self._ends = ends
        self._socket: int | None = None
        self._waiting: asyncio.Future[Any] | None = None
        # What is told of everything that comes, once the connection speaks no HTTP any more.
        self._hear: Callable[[bytes], None] | None = None
        self._line = {LINE: self}
        self.pipeline = Pipeline()  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connects."""
        super().connection_made(transport)
        self.flow = Flow(transport)
        self._begun = self.loop.time()
        if len(self.connections) > self._most:
            self._turned_away = True
            self._heard = self._header_bytes
            self._tell(b"503 Service Unavailable", Overloaded("too many connections: come back later, or ask over fewer"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client, or the way to it, has gone."""
        super().connection_lost(exc)
        if self._waiting is not None:
            self._waiting.cancel()

    def close_after_answer(self) -> None:
        """Let the answer under way, if there is one, be the last, and say so in it."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """A part of requests; what is past the limits never reaches the parser."""
        if self._hear is not None:
            self._hear(data)
            return
        if self._heard + len(data) > self._header_bytes and self._is_too_much(data):
            return
        super().data_received(data)
        if self._begun is not None:
            self._heard += len(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = self._line  # type: ignore[typeddict-item]
        self._begun = self.loop.time()
        self._body = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what stands behind a body is none: a proxy that minds headers passes it on as its client wrote it."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """All but its body has come."""
        super().on_headers_complete()
        if self._in_body:
            self.cycle.message_event = Event()
        if self.server_state.leaving:
            self.cycle.keep_alive = False
        if self.parser.should_upgrade() and not _BODY.isdisjoint(name for name, _ in self.headers):
            # The parser takes its body for what comes after the upgrade: the next request, which nobody sent.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._body += len(body)
        if self._shed is None:
            super().on_body(body)
        if self._body > self._largest_body and (self._body > 2 * _HOOK_BYTES or _HOOKS not in self.scope["path"]):
            self.transport.close()

    def on_message_complete(self) -> None:
        """A request is whole."""
        super().on_message_complete()
        self._begun = None
        self._heard = 0
        if self._shed is not None:
            self._refuse_whole(self._shed)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # Who does not read its answers, or asks whether to go on, takes the long way; one that waited in line is whole already.
        if cycle is self.cycle and self._begun is not None and not (self.flow.write_paused or cycle.waiting_for_100_continue):
            self._shed = self._sheds(cycle.scope)
        if self._shed is None:
            super()._start_asgi_task(cycle, app)

    def _refuse_whole(self, error: OrchestratorError) -> None:
        """Answer a request that no handler gets to see; its client may go on to ask."""
        self._shed, cycle = None, self.cycle
        cycle.response_started = cycle.response_complete = True
        self._tell(b"503 Service Unavailable", error, () if cycle.keep_alive else _CLOSE)
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """An answer is out: the next one's turn. `look` minds those who ask nothing more; uvicorn has a timer for each answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._idle_since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP in the envelope, too."""
        why = f"{msg} Perhaps its address or a header is too long, or has characters that it must not have."
        self._refuse(b"400 Bad Request", ValidationFailed(why, field=""))

    def look(self, now: float, limits: Limits) -> None:
        """End what has waited for its client for too long."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent >= self._seen_unsent > 0:
            if now - self._moved_at > limits.write_seconds:
                self.transport.abort()
        elif unsent:
            self._moved_at = now
        self._seen_unsent = unsent
        if self._begun is not None:
            self._look_at_unfinished(now, self._begun, limits)
        elif self.cycle.response_complete and now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()

    def _look_at_unfinished(self, now: float, begun: float, limits: Limits) -> None:
        if self._turned_away:
            self.transport.close()
        elif not self._in_body:
            if now - begun > limits.header_seconds:
                self._cut(f"its headers were not whole within {limits.header_seconds:g} seconds")
        elif now - begun > limits.body_seconds:
            self._cut(f"it was not whole within {limits.body_seconds:g} seconds")
        elif self._body != self._seen_body or self.flow.read_paused:
            self._seen_body = self._body
            self._moved_at = now
        elif now - max(begun, self._moved_at) > limits.header_seconds:
            self._cut(f"no more of its body came for {limits.header_seconds:g} seconds")

    def slow(self, now: float) -> bool:
        """Whether what is in hand for it waits for its client; what is answered or refused already is not in hand."""
        if not self._in_body or self._shed is not None or self.cycle.response_complete:
            return False
        return now - (self._begun or now) > _SLOW_S

    @property
    def _in_body(self) -> bool:
        cycle: Any = self.cycle
        return self._begun is not None and cycle is not None and cycle.scope is self.scope

    def _is_too_much(self, data: bytes) -> bool:
        if self._turned_away:
            self.transport.close()
            return True
        if self._in_body:
            # Next to nothing in each chunk, or headers without end behind the last one.
            if self._heard - self._body <= self._header_bytes + self._body:
                return False
            why = "the body of this request is less than what goes around it: send it in larger chunks, without trailers"
        else:
            if data.find(_END_OF_HEADERS, 0, max(0, self._header_bytes - self._heard)) >= 0:
                return False
            why = f"the address and the headers of this request have more than the {self._header_bytes} bytes that are allowed"
        self._refuse(b"400 Bad Request", ValidationFailed(why, field=""))
        return True

    def _cut(self, why: str) -> None:
        if self._heard:
            self._refuse(b"408 Request Timeout", ValidationFailed(f"this request is given up: {why}", field=""))
        else:
            self.transport.close()

    def _refuse(self, status: bytes, error: OrchestratorError) -> None:
        if not (self._in_body and self.cycle.response_started):
            self._tell(status, error)
        self.transport.close()

    def _tell(self, status: bytes, error: OrchestratorError, more: tuple[Header, ...] = _CLOSE) -> None:
        told = refusal(error)
        headers = [*self.server_state.default_headers, *told.raw_headers, NO_SNIFFING, *more]
        lines = [b"%s: %s" % header for header in headers]
        self.transport.write(b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", told.body]))

    def write(self, scope: object, status: int, headers: Iterable[Header], body: bytes) -> bool:
        """Write an answer in one piece: uvicorn writes, and clients read, its head and its body one by one."""
        cycle: Any = self.cycle
        if (
            cycle.scope is not scope
            or cycle.response_started
            or cycle.disconnected
            or not cycle.keep_alive
            or self.flow.write_paused
        ):
            return False
        lines = [STATUS_LINE[status]]
        lines += [b"%s: %s\r\n" % header for header in cycle.default_headers]
        lines += [b"%s: %s\r\n" % header for header in headers]
        lines += (b"\r\n", body)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        self.transport.write(b"".join(lines))
        cycle.on_response()
        return True

    def switch(self, scope: object, answer: bytes, hear: Callable[[bytes], None]) -> bool:
        """Speak something else from here on, after this answer; False where the connection is not for that alone.

        Behind a request with a body, or before others that were sent already, there would be bytes of which a proxy believes
        something else.
        """
        cycle: Any = self.cycle
        upgrade = any(name == b"upgrade" for name, _ in self.headers)
        if cycle.scope is not scope or cycle.response_started or cycle.disconnected or not cycle.keep_alive or not upgrade:
            return False
        if self.pipeline or self._begun is not None:
            return False
        cycle.response_started = True
        cycle.keep_alive = False
        self._hear = hear
        self.transport.write(answer)
        return True

    def say(self, data: bytes) -> None:
        """Write to a connection that was switched; who takes nothing of so much is not there any more."""
        if data and not self.transport.is_closing():
            self.transport.write(data)
            if self.transport.get_write_buffer_size() > _UNREAD:
                self.transport.abort()

    def finish(self) -> None:
        """End a connection that was switched."""
        self.cycle.response_complete = True
        self.transport.close()

    @property
    def full(self) -> bool:
        """Whether the client has to take of what was written before more is."""
        return self.flow.write_paused

    async def writable(self) -> None:
        """Wait until the client has taken enough of what was written before, or has gone."""
        if self.flow.write_paused:
            await self.flow.drain()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: it is answered as what it is without the upgrade, and anybody could fill the log with it."""

    def watch(self, waiting: "asyncio.Future[Any] | None") -> None:
        """Cancel what is waited for when the client hangs up."""
        self._waiting = waiting
        if waiting is not None:
            # Whoever is not read from is not heard when they go.
            self.flow.resume_reading()
            if self.transport.is_closing():
                waiting.cancel()

    def hung_up(self) -> bool:
        """Whether the client has gone: the socket may know it, and the event loop not yet."""
        if self.transport.is_closing():
            return True
        if self._socket is None:
            self._socket = self.transport.get_extra_info("socket").fileno()
            self._ends.watch(self._socket)
        return self._ends.seen(self._socket)


def sweep(connections: Iterable[Any], now: float, limits: Limits) -> int:
    """Look at all of them once: cheaper than a timer for each. How many have been sending a body for long."""
    slow = 0
    for one in tuple(connections):
        one.look(now, limits)
        slow += one.slow(now)
    return slow


class Ends:
    """Which clients have closed their end, as far as the kernel knows; it is asked once in a turn of the event loop, for all.

    Where it cannot be asked, nobody has.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._closed: frozenset[int] | None = None
        # It tells of about a thousand unless it is told how many there can be.
        self._most = 1

    def watch(self, socket: int) -> None:
        """Look at a socket, too; until it is closed here."""
        if self._epoll is not None:
            self._epoll.register(socket, select.EPOLLRDHUP | select.EPOLLHUP)
            self._most = max(self._most, socket + 1)
        self._closed = None

    def seen(self, socket: int) -> bool:
        """Whether the other end of a socket is closed."""
        if self._epoll is None:
            return False
        if self._closed is None:
            self._closed = frozenset(one for one, _ in self._epoll.poll(0, self._most))
            self._loop.call_soon(self._forget)
        return socket in self._closed

    def _forget(self) -> None:
        self._closed = None

    def close(self) -> None:
        """Look no more."""
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None
