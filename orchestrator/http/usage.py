"""What was used, and what it cost."""

from litestar import get
from msgspec.structs import replace

from orchestrator.domain.drafting import work_path
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import page, place
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, principal
from orchestrator.queue.commit import Queue
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.contract.usage import ListUsage, UsageRow


@get("/usage", opt=described(Page[UsageRow], query=ListUsage), scope=Scope.READ)
async def list_usage(request: Asked) -> Answer:
    """Sum up tokens, costs and attempts by day (UTC) or by what `by` names: directory, host, model, agent, tag.

    What running attempts report counts at once. Kept for 400 days, longer than the tasks. Sums of tags overlap: a task counts
    in full for each of its first 16.
    """
    query = parse(request, ListUsage)
    if query.work_path is not None:
        query = replace(query, work_path=[work_path(path, "work_path") for path in query.work_path])
    queue: Queue = request.app.state.queue
    # One more than asked for tells whether there is another page.
    wanted = replace(query, limit=query.limit + 1, offset=place(query))
    found = await queue.reads.usage(wanted, principal(request).paths)
    return answer(page(found.items, query, total=found.total, total_exact=found.total_exact))


HANDLERS = tagged((list_usage,), "Statistics")
