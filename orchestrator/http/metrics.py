"""What Prometheus scrapes."""

from litestar import get
from litestar.datastructures import State
from msgspec.structs import replace

from orchestrator.domain.task import Millis
from orchestrator.http.envelope import Answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import nothing
from orchestrator.http.scope import Asked, unlimited
from orchestrator.queue.commit import Queue
from orchestrator.store.protocol import StoreAwayError
from orchestrator.telemetry.gauges import QueueSnapshot
from orchestrator.telemetry.metrics import CONTENT_TYPE, Metrics
from worker_client.contract.enums import Scope
from worker_client.errors import Overloaded

_HEADERS = ((b"content-type", CONTENT_TYPE.encode()), (b"cache-control", b"no-store"))


@get("/metrics", opt=described(None, bare=True, media=("text/plain",)), scope=Scope.READ)
async def read_metrics(request: Asked) -> Answer:
    """Show counters and gauges in the text format of Prometheus.

    While the database cannot be read, `database_up` says so, and what stands in its tables is left out.
    """
    nothing(request)
    unlimited(request)
    state = request.app.state
    queue: Queue = state.queue
    counted: Metrics = state.metrics
    counted.read_seconds = state.store.reads.seconds
    held_ms: Millis | None = state.log_held_ms()
    now = queue.now()
    snapshot = replace(
        await _tables(state, queue, now),
        workers=queue.presence.states(now),
        parked_polls=queue.parked,
        listeners=state.slots.held("streams"),
        connections=state.connections(),
        backlog=queue.backlog,
        writable=queue.away is None and queue.failing is None,
        wal_held_seconds=None if held_ms is None else held_ms / 1000,
    )
    return Answer(counted.render(snapshot), headers=_HEADERS)


async def _tables(state: State, queue: Queue, now: Millis) -> QueueSnapshot:
    try:
        found = await queue.reads.snapshot(now, lambda path, host: queue.presence.visits(path, host, now))
        undelivered = await queue.reads.oldest_undelivered()
        return replace(
            found,
            undelivered_seconds=0.0 if undelivered is None else max(0, now - undelivered) / 1000,
            standstill=await queue.reads.standstill(now, state.store.wall()),
            replicas=await state.replicas(),
            wal_bytes=await state.store.wal_bytes(),
        )
    except (Overloaded, StoreAwayError):
        return QueueSnapshot(by_status={}, readable=False)


HANDLERS = tagged((read_metrics,), "Health")
