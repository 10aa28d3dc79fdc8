"""The composition root: here alone the real clock, chance, settings, store, queue, routes and loops meet."""

import asyncio
import ctypes
import gc
import itertools
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

from orchestrator import __version__
from orchestrator.commands.keeper import Keeper
from orchestrator.companion import Companion, Manned, reachable
from orchestrator.dashboard.routes import HANDLERS as PAGES
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis
from orchestrator.doors.doors import Doors
from orchestrator.doors.local import announced
from orchestrator.doors.rates import Rates
from orchestrator.doors.sealing import Sealing
from orchestrator.http.certificate import certified
from orchestrator.http.guard import public
from orchestrator.http.measuring import Measuring
from orchestrator.http.middleware import Frame
from orchestrator.http.routes import routers
from orchestrator.http.scope import Asked
from orchestrator.http.server import Server, bound, configured, open_files
from orchestrator.http.slots import Slots
from orchestrator.http.supervised import Supervisor
from orchestrator.http.visitors import Visitors
from orchestrator.loops.advancer import Advancer
from orchestrator.loops.announcer import Announcer
from orchestrator.loops.checkpointer import Checkpointer
from orchestrator.loops.doorkeeper import Doorkeeper
from orchestrator.loops.fetcher import Fetcher
from orchestrator.loops.follower import Follower
from orchestrator.loops.indexer import Indexer
from orchestrator.loops.lag import Lag
from orchestrator.loops.librarian import Librarian
from orchestrator.loops.mailbox import Mailboxes
from orchestrator.loops.notifier import Notifier
from orchestrator.loops.planner import Planner
from orchestrator.loops.pruner import Pruner
from orchestrator.loops.reaper import Reaper
from orchestrator.loops.sharing import Sharing
from orchestrator.mcp.mounted import Mounted
from orchestrator.queue.board import Board
from orchestrator.queue.commit import Queue
from orchestrator.reloading import Reload, heed, hung_up, put
from orchestrator.settings import Settings
from orchestrator.store import choice
from orchestrator.store.protocol import SharedStore, Store
from orchestrator.store.traced import traced
from orchestrator.telemetry import logs, tracing
from orchestrator.telemetry.gauges import Replicas
from orchestrator.telemetry.metrics import Metrics
from orchestrator.triggers.refusals import Refusals

if TYPE_CHECKING:
    from orchestrator.store.sqlite.store import SQLiteStore


_M_ARENA_MAX: Final = -8
"""glibc's malloc.h."""


class Loop(Protocol):
    """What runs beside the requests."""

    async def run(self) -> None:
        """Work until cancelled."""


class _App(Litestar):
    """Without the plugins that it finds by itself: they load pydantic, 8 MB, where something else has it installed."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def build(settings: Settings, store: Store, queue: Queue, metrics: Metrics, doors: Doors, loops: Sequence[Loop] = ()) -> Litestar:
    """The app over its parts; its lifespan opens the store, runs the queue and the loops, and closes it all."""
    keeper = Doorkeeper(queue, doors)
    parts: dict[str, Any] = {"queue": queue, "store": store, "metrics": metrics, "settings": settings}
    parts |= {"doors": doors, "doorkeeper": keeper, "log_held_ms": lambda: None, "replicas": _alone, "traces": None}
    commands = Keeper(settings.commands_directory, lambda found: heed(queue, found))
    parts |= {"commands": commands, "started": 0, "loops": [], "connections": lambda: 0, "slots": Slots(), "mcp": Mounted()}
    board = Board(queue)
    parts |= {"board": board, "measuring": Measuring(queue, board, time.monotonic)}
    app = _App(
        route_handlers=[*routers(), Router(path="/", route_handlers=list(PAGES))],
        request_class=Asked,
        openapi_config=None,
        logging_config=None,
        request_max_body_size=settings.limits.max_body_bytes,
        lifespan=[lambda app: _running(app, queue, keeper, (Librarian(commands), *loops))],
        state=State(parts, deep_copy=False),
    )
    # Litestar's own middleware would not see unknown paths.
    frame = Frame(app, metrics, Visitors(doors, public(app)), _request_ids())
    app.asgi_handler, app.state.dispatch = cast("Any", frame), frame.dispatch
    return app


@asynccontextmanager
async def _running(app: Litestar, queue: Queue, keeper: Doorkeeper, loops: Sequence[Loop]) -> AsyncIterator[None]:
    with tracing.using(app.state.traces):
        async with _at_work(app, queue, keeper, loops):
            yield


@asynccontextmanager
async def _at_work(app: Litestar, queue: Queue, keeper: Doorkeeper, loops: Sequence[Loop]) -> AsyncIterator[None]:
    await queue.start()
    app.state.started = queue.now()
    app.state.loops = tasks = [asyncio.create_task(loop.run(), name=type(loop).__name__) for loop in (keeper, *loops)]
    try:
        await keeper.once()
        await app.state.commands.look()
        yield
        await keeper.leave()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await app.state.mcp.close()
        await queue.stop()


def compose(settings: Settings, read: Callable[[], Settings] | None = None) -> Litestar:
    """The app that settings ask for; `read` gives them anew when they are to be."""
    store = choice.store(settings.database)
    metrics = Metrics(__version__)
    traces = tracing.begun(settings.tracing)
    queue = Queue(traced(store, traces), Rules(), metrics)
    loops: list[Loop] = [Reaper(queue), Indexer(queue)]
    shrink: Callable[[], Awaitable[bool]] | None = None
    log_held_ms: Callable[[], Millis] | None = None
    replicas: Callable[[], Awaitable[Replicas | None]] = _alone
    if settings.database.path is None:
        shared = cast("SharedStore", store)
        follower = Follower(queue, shared)
        loops += [follower, Sharing(queue, shared), Advancer(queue, every=1.0)]
        replicas = follower.standing
    else:
        embedded = cast("SQLiteStore", store)
        checkpointer = Checkpointer(embedded.fold, queue.now)
        loops += [checkpointer, Advancer(queue)]
        shrink, log_held_ms = embedded.shrink, checkpointer.held_ms
    task = settings.task
    pruner = Pruner(queue, retention_days=task.retention_days, interval=task.task_cleanup_interval, shrink=shrink)
    doors = Doors(settings, Rates(time.monotonic_ns), queue.now, secrets.token_hex)
    planner = Planner(queue, store.wall, metrics)
    refusals = Refusals(time.monotonic)
    fetcher = Fetcher(queue, refusals, metrics, lambda: doors.settings.github, time.time)
    shares = settings.database.path is None
    mailboxes = Mailboxes(queue, metrics, settings.email, secrets.token_hex(8), shared=shares)
    sealing, holder = Sealing(), secrets.token_hex(8)
    notifier = Notifier(
        queue, metrics, lambda: doors.settings, sealing, time.time, holder, epoch=lambda: store.epoch, shared=shares
    )
    announcer = Announcer(queue, notifier.wake, shared=shares)
    loops += [pruner, planner, fetcher, mailboxes, announcer, notifier, Lag(metrics)]
    app = build(settings, store, queue, metrics, doors, loops)
    app.state.sealing, app.state.announcer, app.state.notifier = sealing, announcer, notifier
    app.state.pruner, app.state.planner, app.state.refusals = pruner, planner, refusals
    app.state.mailboxes, app.state.replicas = mailboxes, replicas
    app.state.log_held_ms = log_held_ms or app.state.log_held_ms
    app.state.traces = cast("Frame", app.asgi_handler).traces = traces
    put(app.state, settings)
    app.state.reload = Reload(app.state, read or (lambda: settings))
    return app


async def _alone() -> None:
    """There are no other servers on a file."""


def _announce(address: str) -> None:
    print(f"Listening on {address}", flush=True)  # noqa: T201  the one line that programs wait for


async def served(
    settings: Settings,
    ready: Callable[[str], None] = _announce,
    read: Callable[[], Settings] | None = None,
    manned: Manned | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, and read settings anew at SIGHUP; `ready` gets the address once it answers.

    `manned`: with a worker beside it. Raises AddressTakenError, CertificateError, DatabaseInUseError, SettingsError.
    """
    tls = certified(settings.server)
    app = compose(settings, read)
    doors: Doors = app.state.doors
    with bound(settings.server.host, settings.server.port) as listening, hung_up(app.state.reload.signalled):
        async with cast("AbstractAsyncContextManager[None]", app.lifespan()):
            doors.look()

            companion = None if manned is None else _companion(manned, settings, doors)

            def answers(address: str) -> None:
                announce(address)
                ready(address)
                if companion is not None:
                    companion.begin(reachable(address))

            server = Server(
                configured(app, settings.server),
                drain=app.state.queue.drain,
                ready=answers,
                tls=tls,
                before=None if companion is None else companion.leave,
                supervisor=Supervisor(os.environ),
            )
            app.state.connections = lambda: len(server.server_state.connections)
            # Only while the file is this server's: another one may leave its own there.
            with announced(settings.database.path, doors.local) as announce:
                try:
                    await server.serve(sockets=[listening])
                finally:
                    if companion is not None:
                        await companion.end()


def _companion(manned: Manned, settings: Settings, doors: Doors) -> Companion:
    return Companion(manned, doors.lend("worker", manned.patterns), pretty=logs.pretty(settings.log, sys.stderr))


def serve(
    settings: Settings,
    ready: Callable[[str], None] = _announce,
    read: Callable[[], Settings] | None = None,
    manned: Manned | None = None,
) -> None:
    """`served`, on the fastest event loop there is."""
    _spare_the_collector()
    _share_one_heap()
    open_files(raised=True)
    factory = configured(cast("Any", None), settings.server).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(served(settings, ready, read, manned))


def _spare_the_collector() -> None:
    """What is loaded by now stays, and requests leave no cycles: looking for garbage seldom saves a sixth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _share_one_heap() -> None:
    """The C library of most Linux systems would keep a heap for each thread that reads the database: more than a megabyte."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, 1)


def _request_ids() -> Callable[[], str]:
    """Ids that are unique across restarts, and cheap: this run's chance and a number."""
    run, numbers = secrets.token_hex(6), itertools.count(1)
    return lambda: f"{run}-{next(numbers)}"
