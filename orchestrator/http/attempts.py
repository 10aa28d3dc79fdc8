"""Attempts across tasks."""

from litestar import get

from orchestrator.http.envelope import Answer, answer
from orchestrator.http.intake import filtered
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import listed
from orchestrator.http.query import nothing, parse
from orchestrator.http.scope import Asked, path_id, principal
from orchestrator.queue.commit import Queue
from worker_client.contract.attempts import Attempt, AttemptStats, ListAttempts
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.errors import NotFound


@get("/execution-logs", opt=described(Page[Attempt], query=ListAttempts), scope=Scope.READ)
async def list_attempts(request: Asked) -> Answer:
    """List attempts of all tasks, newest first; those that run come before those that ended."""
    query = filtered(parse(request, ListAttempts))
    queue: Queue = request.app.state.queue
    found = await queue.reads.attempts(query, principal(request).paths)
    return answer(listed(found, query))


@get("/execution-logs/stats", opt=described(AttemptStats, query=ListAttempts), scope=Scope.READ)
async def count_attempts(request: Asked) -> Answer:
    """Count ended attempts by outcome, and say how long the completed ones took.

    Of more than 10,000 the newest are looked at. The success rate leaves out what was released, parked or cancelled.
    """
    query = filtered(parse(request, ListAttempts))
    queue: Queue = request.app.state.queue
    return answer(await queue.reads.attempt_stats(query, principal(request).paths))


@get("/execution-logs/{attempt_id:str}", opt=described(Attempt), scope=Scope.READ)
async def get_attempt(request: Asked) -> Answer:
    """Read one ended attempt."""
    nothing(request)
    attempt_id = path_id(request, "attempt_id")
    queue: Queue = request.app.state.queue
    attempt = await queue.reads.attempt(attempt_id, principal(request).paths)
    if attempt is None:
        raise NotFound(f"there is no attempt {attempt_id}", attempt_id=attempt_id)
    return answer(attempt)


HANDLERS = tagged((list_attempts, count_attempts, get_attempt), "Attempts")
