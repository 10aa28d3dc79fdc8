"""The server process: uvicorn, with the shutdown and the knowledge of hung-up clients that long polls need."""

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Final, cast

import structlog
import uvicorn
from litestar import Litestar

from orchestrator import settings
from orchestrator.http.certificate import Certificate
from orchestrator.http.connections import Ends, Protocol, State, sweep
from orchestrator.http.leaving import admit_no_more
from orchestrator.http.shedding import Shedding
from orchestrator.http.supervised import Supervisor
from worker_client.errors import OrchestratorError

if sys.platform != "win32":
    import resource

_KEEP_ALIVE_S: Final = 75
_BACKLOG: Final = 2048
_OWN_FILES: Final = 500
"""Open files that are kept for everything else than connections, and for telling those who are too many."""
_TLS_END_S: Final = 5
_FULL_TICKS: Final = 100
_CERTIFICATE_TICKS: Final = 600
log = structlog.get_logger()
_TOLD_BEFORE: Final = 2
_DRAIN_S: Final = 10
"""How long answers under way may take once the server is to stop; parked polls are answered at once."""
_ACCEPTING_S: Final = 0.05
"""Within which those are accepted who had connected before nobody else could."""
_LAST_S: Final = 1.0
"""In which those who are connected may still ask, at the end of `drain_seconds`; proxies learn meanwhile that nobody else can."""


class AddressTakenError(OrchestratorError):
    """The server cannot listen where it should."""


class Server(uvicorn.Server):
    """Answers parked polls before it stops, and ends well when it was asked to."""

    server_state: State

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain: Callable[[], None],
        ready: Callable[[str], None],
        tls: Certificate | None = None,
        before: Callable[[Callable[[], None]], None] | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        super().__init__(config)
        self.server_state = State()
        self._drain = drain
        self._supervisor = supervisor or Supervisor({})
        self._until: float | None = None
        self._ready = ready
        self._tls = tls
        self._before = before
        self._told = 0
        self._sheds = Shedding(cast("Any", config.app).state, self.server_state.tasks, config.root_path)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends: Ends | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then say where."""
        self._loop = asyncio.get_running_loop()
        self._ends = Ends(self._loop)
        over_tls: dict[str, Any] = {}
        if self._tls is not None:
            seconds = self._limits().header_seconds
            over_tls = {"ssl": self._tls.context, "ssl_handshake_timeout": seconds, "ssl_shutdown_timeout": _TLS_END_S}
        self.servers = [
            await self._loop.create_server(self._protocol, sock=one, backlog=_BACKLOG, **over_tls) for one in sockets or ()
        ]
        self.started = True
        for one in sockets or ():
            self._supervisor.ready(found := address(one, tls=self._tls is not None))
            self._ready(found)

    def _protocol(self) -> Protocol:
        facts: dict[str, Any] = {"limits": self._limits(), "most": self._most(), "ends": self._ends, "sheds": self._sheds}
        return Protocol(self.config, self.server_state, {}, self._loop, **facts)

    def _most(self) -> int:
        return min(self._limits().connections, max(1, open_files() - _OWN_FILES))

    def _limits(self) -> settings.Limits:
        return self._settings().limits

    def _settings(self) -> settings.Settings:
        # They may change while the server runs.
        found: settings.Settings = cast("Any", self.config.app).state.settings
        return found

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End it, once what is under way has been answered."""
        if self._settings().server.drain_seconds and not self.force_exit:
            await self._close_the_door(sockets or [])
        await super().shutdown(sockets)
        if self._ends is not None:
            self._ends.close()

    async def _close_the_door(self, sockets: list[socket.socket]) -> None:
        """Take no more connections, and let those that are there have their last answer."""
        loop = asyncio.get_running_loop()
        for one in sockets:
            admit_no_more(one)
        await asyncio.sleep(_ACCEPTING_S)
        for server in self.servers:
            server.close()
        for one in sockets:
            one.close()
        end = loop.time() + _LAST_S
        while self.server_state.connections and not self.force_exit and loop.time() < end:  # noqa: ASYNC110 - as uvicorn does
            await asyncio.sleep(_ACCEPTING_S)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second, of which one is enough."""
        if counter % 10 == 0 and self._loop is not None:
            self._supervisor.alive(self._loop.time())
            self._sheds.look(sweep(self.server_state.connections, self._loop.time(), self._limits()))
            if counter % _FULL_TICKS == 0 and len(self.server_state.connections) >= (most := self._most()):
                log.warning("as many connections as there may be: others are turned away", limit=most)
            if counter % _CERTIFICATE_TICKS == 0 and self._tls is not None:
                self._tls.look()
        over = await super().on_tick(counter)
        return over and (self.force_exit or self._until is None or time.monotonic() >= self._until)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  uvicorn's signature
        """Stop; at the second signal without waiting for answers under way.

        `before` goes first while there is such, and goes on with what it is given: once more at the second signal.
        """
        self._told += 1
        if self._before is not None and self._loop is not None and self._told <= _TOLD_BEFORE:
            self._loop.call_soon_threadsafe(self._before, self.stop)
            return
        self.force_exit = self.should_exit
        self.stop()

    def stop(self) -> None:
        """Begin to shut down; from any thread or signal handler."""
        if self._until is None:
            self._until = time.monotonic() + self._settings().server.drain_seconds
            self._supervisor.stopping()
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._let_go)

    def _let_go(self) -> None:
        # Who is told so does not send the next request where nobody may be there to take it.
        self.server_state.leaving = True
        for connection in self.server_state.connections:
            cast("Protocol", connection).close_after_answer()
        # uvicorn waits for answers under way, so those that are held must be let go.
        self._drain()


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
        proxy_headers=False,
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


def address(listening: socket.socket, *, tls: bool = False) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http{'s' * tls}://{f'[{host}]' if ':' in host else host}:{port}"


def open_files(*, raised: bool = False) -> int:
    """How many files this process may have open, connections included; `raised`: as many as it may give itself."""
    if sys.platform == "win32":
        return 1 << 20
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if raised and soft < hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft
