"""What Prometheus scrapes."""

from litestar import get
from msgspec.structs import replace

from orchestrator.domain.task import Millis
from orchestrator.http.envelope import Answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import nothing
from orchestrator.http.scope import Asked, unlimited
from orchestrator.queue.commit import Queue
from orchestrator.telemetry.metrics import CONTENT_TYPE, Metrics
from worker_client.contract.enums import Scope

_HEADERS = ((b"content-type", CONTENT_TYPE.encode()), (b"cache-control", b"no-store"))


@get("/metrics", opt=described(None, bare=True, media=("text/plain",)), scope=Scope.READ)
async def metrics(request: Asked) -> Answer:
    """Show counters and gauges in the text format of Prometheus."""
    nothing(request)
    unlimited(request)
    state = request.app.state
    queue: Queue = state.queue
    counted: Metrics = state.metrics
    tables = await queue.reads.snapshot(queue.now())
    held_ms: Millis | None = state.log_held_ms()
    snapshot = replace(
        tables,
        parked_polls=queue.parked,
        backlog=queue.backlog,
        wal_bytes=await state.store.wal_bytes(),
        wal_held_seconds=None if held_ms is None else held_ms / 1000,
    )
    return Answer(counted.render(snapshot), headers=_HEADERS)


HANDLERS = tagged((metrics,), "Health")
