"""Who is here, and what they hold."""

from collections.abc import Iterable

from litestar import delete, get, post

from orchestrator.domain import operations as ops
from orchestrator.domain.holders import Drain
from orchestrator.domain.moments import moment
from orchestrator.domain.outcomes import Done
from orchestrator.domain.principal import PathScope
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer, empty
from orchestrator.http.intake import masked
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import part
from orchestrator.http.query import nothing, parse
from orchestrator.http.scope import Asked, path_name, principal, submit
from orchestrator.queue.commit import Queue
from orchestrator.queue.presence import Present
from orchestrator.store.reads import Held
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.contract.workers import DrainedWorker, DrainWorker, ListWorkers, Worker
from worker_client.errors import NotFound


@get("/workers", opt=described(Page[Worker], query=ListWorkers), scope=Scope.READ)
async def list_workers(request: Asked) -> Answer:
    """List workers that asked for work within ten minutes, or hold a lease, by id."""
    query = parse(request, ListWorkers)
    queue: Queue = request.app.state.queue
    visible = principal(request).paths
    return answer(part(await _seen(queue, visible), query))


@post(
    "/workers/{worker:str}/drain",
    opt=described(DrainedWorker, body=DrainWorker, body_optional=True, errors=(404,)),
    scope=Scope.ADMIN,
)
async def drain_worker(request: Asked) -> Answer:
    """Have a worker end what it does and ask for nothing more, until it is started anew; forgotten after a day.

    A key that is limited to some directories drains only workers that see no others.
    """
    worker_id = path_name(request, "worker")
    body = await read(request, DrainWorker, optional=True)
    visible = principal(request).paths
    if visible.patterns is not None:
        _check_seen(worker_id, await _seen(request.app.state.queue, visible))
    reason = masked(body.reason, request.app.state.redaction)
    done: Done = await submit(request, ops.DrainWorker(worker_id=worker_id, reason=reason))
    return answer(DrainedWorker(worker_id=worker_id, reason=reason, running=done.count))


@delete("/workers/{worker:str}/drain", opt=described(None, status=204), status_code=200, scope=Scope.ADMIN)
async def undrain_worker(request: Asked) -> Answer:
    """Let a worker ask again that was told to drain, if it has not ended yet."""
    nothing(request)
    await submit(request, ops.DrainWorker(worker_id=path_name(request, "worker"), undo=True))
    return empty()


def _check_seen(worker_id: str, workers: Iterable[Worker]) -> None:
    if not any(worker.worker_id == worker_id for worker in workers):
        raise NotFound(f"there is no worker {worker_id}: see `GET /workers` for those that there are", worker_id=worker_id)


async def _seen(queue: Queue, visible: PathScope) -> list[Worker]:
    held = await queue.reads.holdings(visible)
    return _workers(queue.presence.list(queue.now()), held, visible, await queue.reads.drains())


def _workers(
    present: Iterable[Present], held: Iterable[Held], visible: PathScope, drains: Iterable[Drain] = ()
) -> list[Worker]:  # fmt: skip
    """Those whose directories can be seen, each with no others."""
    found: dict[str, Worker] = {}
    for one in present:
        worker = _asker(one, visible)
        if worker.work_paths:
            found[one.worker_id] = worker
    for worker_id, host, account, holding in held:
        if worker_id not in found:
            found[worker_id] = _holder(worker_id, host, account)
        found[worker_id].holds.append(holding)
    for drain in drains:
        # Not of another's worker that happens to have the same id.
        if drain.worker_id in found and (visible.within(drain.reach) or drain.reach.within(visible)):
            found[drain.worker_id].draining = True
    return sorted(found.values(), key=lambda worker: worker.worker_id)


def _asker(one: Present, visible: PathScope) -> Worker:
    seen = [asked for asked in one.asked if any(map(visible.covers, asked.paths))]
    paths = {path for asked in seen for path in asked.paths if visible.covers(path)}
    # What it asks for elsewhere is not told, nor when: another key's worker may have the same id.
    wanted = one.interest if one.interest in seen or not seen else seen[-1]
    return Worker(
        worker_id=one.worker_id,
        host=wanted.host,
        account=one.account if wanted is one.interest else None,
        work_paths=sorted(paths),
        recursive=wanted.recursive,
        kinds=list(wanted.kinds),
        agent=wanted.agent or None,
        tags=sorted(wanted.tags),
        polling=one.polling and wanted is one.interest,
        last_seen_at=moment(max((one.asked[asked] for asked in seen), default=one.seen_at)),
        holds=[],
    )


def _holder(worker_id: str, host: str, account: str | None) -> Worker:
    """A worker that has not asked for long: it works."""
    return Worker(
        worker_id=worker_id,
        host=host,
        account=account,
        work_paths=[],
        recursive=False,
        kinds=[],
        tags=[],
        polling=False,
        last_seen_at=None,
        holds=[],
    )


HANDLERS = tagged((list_workers, drain_worker, undrain_worker), "Workers")
