"""Probes. The shape of /health is that of the program whose monitors read it, without the envelope.

Parameters are ignored: what monitors add to get past caches means nothing.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import psutil
from litestar import get
from litestar.datastructures import State
from msgspec.structs import replace

from orchestrator import __version__
from orchestrator.domain.task import Millis
from orchestrator.http.envelope import NO_STORE, Answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.scope import Asked, principal
from orchestrator.queue.away import words
from orchestrator.queue.commit import Queue
from worker_client.contract.enums import Scope
from worker_client.contract.health import Component, Health, HealthMetrics, Probe

_PATIENCE_S: Final = 2
"""A database that takes longer to say anything is not well."""
_HELD: Final = (
    "for {} another program has kept reading the file, so that its write-ahead log grows: find it with lsof, and end it"
)
_JSON: Final = ((b"content-type", b"application/json"), *NO_STORE)
_encode = msgspec.json.Encoder().encode
_process = psutil.Process()


@get("/health", opt=described(Health, bare=True, also=(503,)), public=True)
async def read_health(request: Asked) -> Answer:
    """Say how the server is; 503 when it is unhealthy.

    `cpu_usage` is in percent of one core since the last time it was asked for, `queue_size` the number of waiting tasks. Without
    a key that may read everything, `metrics` is null, and components give no reasons.
    """
    state, by = request.app.state, principal(request)
    insider = Scope.READ in by.scopes and by.paths.patterns is None
    queue: Queue = state.queue
    database, waiting = await _database(queue)
    if database.healthy and (held := state.log_held_ms()):
        # It is served well all the same, so that nobody is to be sent elsewhere.
        database = replace(database, message=_HELD.format(lasting(held)))
    components = {"database": database, "queue": _committer(state)}
    well = all(component.healthy for component in components.values())
    body = Health(
        status="healthy" if well else "unhealthy",
        timestamp=datetime.now(UTC),
        version=__version__,
        uptime=lasting(queue.now() - state.started),
        components=components if insider else {name: replace(one, message=None) for name, one in components.items()},
        metrics=_measured(state.connections(), waiting) if insider else None,
    )
    return _bare(body, well=well)


def _measured(connections: int, waiting: int) -> HealthMetrics:
    return HealthMetrics(
        memory_usage=f"{round(_process.memory_info().rss / 2**20)}MB",
        cpu_usage=_process.cpu_percent(),
        active_connections=connections,
        queue_size=waiting,
    )


@get("/health/live", opt=described(Probe, bare=True, also=(503,)), public=True)
async def probe_liveness(request: Asked) -> Answer:
    """Say whether the process works at all; 503 when only a restart can help."""
    return _probe("alive", _ended(request.app.state))


@get("/health/ready", opt=described(Probe, bare=True, also=(503,)), public=True)
async def probe_readiness(request: Asked) -> Answer:
    """Say whether to send requests here; 503 while the server drains or cannot write."""
    queue: Queue = request.app.state.queue
    if queue.draining:
        return _probe("ready", "the server is stopping")
    component = _committer(request.app.state)
    if component.healthy:
        component, _ = await _database(queue)
    return _probe("ready", component.message)


async def _database(queue: Queue) -> tuple[Component, int]:
    """How the database answers, and how many tasks wait."""
    started = time.perf_counter()
    waiting, message = 0, None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await queue.reads.ping()
            waiting = await queue.reads.waiting()
    except TimeoutError:
        message = f"the database has not answered within {_PATIENCE_S} s"
    except Exception as error:  # noqa: BLE001 - whatever it is: that it fails is the answer
        message = f"the database cannot be read: {words(error)}"
    return _component(message, (time.perf_counter() - started) * 1000), waiting


def _ended(state: State) -> str | None:
    """What has ended that nothing here begins again: without the reaper, say, whoever dies keeps their tasks for ever."""
    if not state.queue.alive:
        return "the committer has ended"
    return next((f"the {loop.get_name().lower()} has ended" for loop in state.loops if loop.done()), None)


def _committer(state: State) -> Component:
    """Whether what is asked for gets onto the disk, and what becomes due is done."""
    queue: Queue = state.queue
    if ended := _ended(state):
        return _component(ended)
    if away := queue.away:
        return _component(f"the database cannot be reached, for {lasting(queue.now() - away.since)} now: {away.reason}")
    return _component(None if queue.failing is None else f"the last transaction failed: {queue.failing}")


def _component(message: str | None, milliseconds: float = 0.0) -> Component:
    return Component(
        healthy=message is None, response_time=round(milliseconds, 2), last_checked=datetime.now(UTC), message=message
    )


def _probe(status: str, reason: str | None) -> Answer:
    return _bare(Probe(status=status if reason is None else f"not {status}", reason=reason), well=reason is None)


def _bare(body: Any, *, well: bool) -> Answer:
    return Answer(_encode(body), 200 if well else 503, _JSON)


def lasting(duration: Millis) -> str:
    """A duration as people write it: "45s", "12m", "1h30m", "2d4h30m"."""
    seconds = max(0, duration) // 1000
    if seconds < 60:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86_400
    return "".join(f"{number}{unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if number)


HANDLERS = tagged((read_health, probe_liveness, probe_readiness), "Health")
