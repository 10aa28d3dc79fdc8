"""Numbers about the queue."""

from litestar import get

from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import nothing, parse
from orchestrator.http.scope import Asked, principal
from orchestrator.queue.commit import Queue
from worker_client.contract.enums import Scope
from worker_client.contract.statistics import ReadSeries, Series, Statistics, StatisticsNow


@get("/statistics", opt=described(Statistics), scope=Scope.READ)
async def read_statistics(request: Asked) -> Answer:
    """Count tasks by status, priority and directory.

    With throughput, the oldest waiting task, how long attempts ran and what they used. Directories are the 1000 with most tasks.
    A throughput says over how many seconds it was counted: whole minutes, and the one that has begun.
    """
    nothing(request)
    queue: Queue = request.app.state.queue
    return answer(await queue.reads.statistics(queue.now(), principal(request).paths))


@get("/statistics/now", opt=described(StatisticsNow), scope=Scope.READ)
async def read_statistics_now(request: Asked) -> Answer:
    """Say how it stands, for those who ask often.

    Counts by status, how many tasks wait for a person, throughput, and what was used today.
    """
    nothing(request)
    queue: Queue = request.app.state.queue
    return answer(await queue.reads.statistics_now(queue.now(), principal(request).paths))


@get("/statistics/series", opt=described(Series, query=ReadSeries), scope=Scope.READ)
async def read_statistics_series(request: Asked) -> Answer:
    """Count by minute what happened, and say by hour how long completed attempts ran."""
    query = parse(request, ReadSeries)
    queue: Queue = request.app.state.queue
    return answer(await queue.reads.series(query, queue.now(), principal(request).paths))


HANDLERS = tagged((read_statistics, read_statistics_now, read_statistics_series), "Statistics")
