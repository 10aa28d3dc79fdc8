"""The server process: uvicorn, with the shutdown and the knowledge of hung-up clients that long polls need."""

import asyncio
import select
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, cast

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orchestrator import settings
from orchestrator.http.delivery import HUNG_UP
from orchestrator.http.envelope import refusal
from worker_client.errors import OrchestratorError, ValidationFailed

_KEEP_ALIVE_S: Final = 75
_BACKLOG: Final = 2048
_CLOSED: Final = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0)
_DRAIN_S: Final = 10
"""How long answers under way may take once the server is to stop; parked polls are answered at once."""


class AddressTakenError(OrchestratorError):
    """The server cannot listen where it should."""


class Protocol(HttpToolsProtocol):
    """Tells handlers whether the client has closed its end, as soon as the kernel knows."""

    _closed: Callable[[int], list[tuple[int, int]]] | None = None

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {HUNG_UP: self._hung_up}  # type: ignore[dict-item]

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP in the envelope, too."""
        why = f"{msg} Perhaps its address or a header is too long, or has characters that it must not have."
        told = refusal(ValidationFailed(why, field=""))
        headers = [*told.raw_headers, (b"connection", b"close")]
        lines = [b"%s: %s" % header for header in headers]
        self.transport.write(b"\r\n".join([b"HTTP/1.1 400 Bad Request", *lines, b"", told.body]))
        self.transport.close()

    def _hung_up(self) -> bool:
        if self.transport.is_closing():
            return True
        if self._closed is None:
            self._closed = _watched(self.transport.get_extra_info("socket"))
        return bool(self._closed(0))


def _watched(connection: socket.socket | None) -> Callable[[int], list[tuple[int, int]]]:
    """Tells what the kernel knows of a connection's end; nothing where it cannot be asked."""
    if connection is None or not hasattr(select, "POLLRDHUP"):
        return lambda _: []
    poll = select.poll()
    poll.register(connection.fileno(), _CLOSED)
    return poll.poll


class Server(uvicorn.Server):
    """Answers parked polls before it stops, and ends well when it was asked to."""

    def __init__(self, config: uvicorn.Config, *, drain: Callable[[], None], ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._drain = drain
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then say where."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started and sockets:
            self._ready(address(sockets[0]))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  uvicorn's signature
        """Stop; at the second signal without waiting for answers under way."""
        self.force_exit = self.should_exit
        self.stop()

    def stop(self) -> None:
        """Begin to shut down; from any thread or signal handler."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            # uvicorn waits for answers under way, so those that are held must be let go first.
            self._loop.call_soon_threadsafe(self._drain)


def configured(app: Litestar, settings: settings.Server) -> uvicorn.Config:
    """How uvicorn serves the app; its lifespan is entered by whoever runs it, so that its errors arrive there."""
    return uvicorn.Config(
        cast("Any", app),
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        root_path=settings.root_path,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_DRAIN_S,
    )


def bound(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises AddressTakenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = f"cannot listen on {host} port {port}: {error.strerror}"
        raise AddressTakenError(f"{reason}; stop the program that does, or pass another --port") from None


def address(listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
