"""Who is here, and what they hold."""

from collections.abc import Iterable

from litestar import get

from orchestrator.domain.principal import PathScope
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import part
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, principal
from orchestrator.queue.commit import Queue
from orchestrator.queue.presence import Present
from orchestrator.store.reads import Held
from orchestrator.store.reads.values import moment
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.contract.workers import ListWorkers, Worker


@get("/workers", opt=described(Page[Worker], query=ListWorkers), scope=Scope.READ)
async def list_workers(request: Asked) -> Answer:
    """List workers that asked for work within ten minutes, or hold a lease, by id."""
    query = parse(request, ListWorkers)
    queue: Queue = request.app.state.queue
    visible = principal(request).paths
    workers = _workers(queue.presence.list(queue.now()), await queue.reads.holdings(visible), visible)
    return answer(part(workers, query))


def _workers(present: Iterable[Present], held: Iterable[Held], visible: PathScope) -> list[Worker]:
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


HANDLERS = tagged((list_workers,), "Workers")
