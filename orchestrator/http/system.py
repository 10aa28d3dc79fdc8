"""The server itself."""

from typing import Final

import psutil
from litestar import get, post
from litestar.datastructures import State

from orchestrator import __version__
from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.schedule_operations import SetScheduler
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.health import lasting
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import nothing
from orchestrator.http.scope import Asked, origin, principal, submit, trace, unlimited
from orchestrator.http.tasks import NoBody
from orchestrator.queue.commit import Queue
from orchestrator.settings import Settings
from orchestrator.telemetry.metrics import Metrics
from worker_client.contract.enums import Scope
from worker_client.contract.system import Reloaded, SchedulerInfo, SchedulesByState, SystemInfo, SystemMetrics

_process: Final = psutil.Process()


@post("/system/reload", opt=described(Reloaded, body=NoBody, body_optional=True, errors=(403,)), scope=Scope.ADMIN)
async def reload_settings(request: Asked) -> Answer:
    """Read the settings anew, from where they came at the start.

    All of them are in force at once; a file that does not fit is refused whole, and nothing has changed. SIGHUP does the same.
    Of several servers it concerns the one that answers.
    """
    await read(request, NoBody, optional=True)
    return answer(await request.app.state.reload(principal(request), trace(request), origin(request)))


@get("/system/info", opt=described(SystemInfo), scope=Scope.READ)
async def read_system_info(request: Asked) -> Answer:
    """Say what this server is, and how its scheduler stands."""
    nothing(request)
    state = request.app.state
    settings: Settings = state.settings
    queue: Queue = state.queue
    return answer(
        SystemInfo(
            version=__version__,
            environment=settings.environment,
            started_at=moment(state.started),
            uptime=lasting(queue.now() - state.started),
            database="postgresql" if settings.database.path is None else "sqlite",
            scheduler=await _scheduler(request),
        )
    )


@post("/system/scheduler/start", opt=described(SchedulerInfo, body=NoBody, body_optional=True, errors=(403,)), scope=Scope.ADMIN)
async def start_scheduler(request: Asked) -> Answer:
    """Let schedules fire again, on all servers; what came due meanwhile was missed, and each schedule says what that means."""
    return await _set_scheduler(request, running=True)


@post("/system/scheduler/stop", opt=described(SchedulerInfo, body=NoBody, body_optional=True, errors=(403,)), scope=Scope.ADMIN)
async def stop_scheduler(request: Asked) -> Answer:
    """Let no schedule fire, on all servers and also after a restart, until it is started again."""
    return await _set_scheduler(request, running=False)


async def _set_scheduler(request: Asked, *, running: bool) -> Answer:
    await read(request, NoBody, optional=True)
    await submit(request, SetScheduler(running=running))
    return answer(await _scheduler(request))


async def _scheduler(request: Asked) -> SchedulerInfo:
    state = request.app.state
    queue: Queue = state.queue
    found = await queue.reads.scheduling(principal(request).paths)
    return SchedulerInfo(
        state="running" if found.running else "stopped",
        enabled=state.settings.scheduler.enabled,
        timezone=state.settings.scheduler.timezone,
        next_fire_at=perhaps(found.next_fire) if found.running else None,
        last_fire_at=perhaps(found.last_fire),
        schedules=SchedulesByState(**{str(one): count for one, count in found.counts.items()}),
    )


@get("/system/metrics", opt=described(SystemMetrics, errors=(403,)), scope=Scope.READ)
async def read_system_metrics(request: Asked) -> Answer:
    """Show the most asked of this server's numbers; /metrics has all of them, for Prometheus."""
    nothing(request)
    unlimited(request)
    return answer(await _metrics(request.app.state))


async def _metrics(state: State) -> SystemMetrics:
    queue: Queue = state.queue
    metrics: Metrics = state.metrics
    return SystemMetrics(
        uptime_seconds=(queue.now() - state.started) / 1000,
        memory_bytes=_process.memory_info().rss,
        connections=state.connections(),
        parked_polls=queue.parked,
        commit_backlog=queue.backlog,
        tasks=dict((await queue.reads.snapshot(queue.now())).by_status),
        tasks_created=metrics.tasks_created,
        tasks_completed=metrics.tasks_completed,
        tasks_failed=metrics.tasks_failed,
        leases_expired=metrics.leases_expired,
        operations_shed=metrics.operations_shed,
        schedule_fires=dict(metrics.schedule_fires),
    )


HANDLERS = tagged((reload_settings, read_system_info, start_scheduler, stop_scheduler, read_system_metrics), "System")
