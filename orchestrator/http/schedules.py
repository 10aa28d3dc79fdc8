"""Schedules: made, changed, driven, and looked at."""

from typing import Any, Final

from litestar import delete, get, post, put

from orchestrator.domain import schedule_operations as ops
from orchestrator.domain.moments import instant, moment
from orchestrator.domain.operations import Rehearse
from orchestrator.domain.records import Schedule
from orchestrator.domain.schedule_outcomes import Backfilled, Executed, Scheduled
from orchestrator.domain.schedule_times import checked, coming, cron_of, spread_key
from orchestrator.domain.task import Millis
from orchestrator.http import schedule_views as views
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer, empty
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import listed, page, place
from orchestrator.http.query import nothing, parse
from orchestrator.http.schedule_bodies import made, sent
from orchestrator.http.scope import Asked, path_id, principal, submit
from orchestrator.http.tasks import NoBody
from orchestrator.queue.commit import Queue
from worker_client.contract import schedules as contract
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.errors import NotFound

_DRIVEN: Final[dict[str, Any]] = {"body": NoBody, "body_optional": True, "errors": (409,)}


@get("/schedules", opt=described(Page[contract.Schedule], query=contract.ListSchedules), scope=Scope.READ)
async def list_schedules(request: Asked) -> Answer:
    """List schedules by name."""
    query = parse(request, contract.ListSchedules)
    found = await _queue(request).reads.schedules(query, principal(request).paths, place(query))
    items = [views.schedule(one) for one in found.items]
    return answer(page(items, query, total=found.total, total_exact=found.total_exact))


@post("/schedules", opt=described(contract.Schedule, body=contract.CreateSchedule, status=201, errors=(409,)), scope=Scope.ADMIN)
async def create_schedule(request: Asked) -> Answer:
    """Create a schedule: a cron expression, and the work that it creates, which is checked now.

    What it creates later, it creates with the directories and secrets of the key that made it. Jobs of TimerJobs and AI Schedule
    are taken as they are sent there, see docs/coming-from.md.
    """
    return answer(views.schedule(await made(request, await sent(request))), 201)


@post(
    "/schedules/check",
    opt=described(None, body=contract.CreateSchedule, status=204, errors=(409,)),
    status_code=200,
    scope=Scope.ADMIN,
)
async def check_schedule(request: Asked) -> Answer:
    """Find out whether a schedule would be created; nothing is saved."""
    new = await sent(request)
    await submit(request, Rehearse(op=ops.AddSchedule(body=new.schedule)))
    return empty()


@post("/schedules/preview", opt=described(contract.Preview, body=contract.PreviewSchedule), scope=Scope.READ)
async def preview_cron(request: Asked) -> Answer:
    """Say what a cron expression means, in words and times to come; nothing is saved."""
    body = await read(request, contract.PreviewSchedule)
    zone = _queue(request).rules.timezone if body.timezone is None else body.timezone
    key = spread_key(principal(request).paths.key, body.name)
    cron = checked(body.cron.strip(), zone, key)
    times = coming(
        cron,
        _wall(request),
        body.count,
        starts_at=None if body.starts_at is None else instant(body.starts_at, "starts_at"),
        ends_at=None if body.ends_at is None else instant(body.ends_at, "ends_at"),
        jitter_ms=round(body.jitter_seconds * 1000),
        key=key,
    )
    return answer(contract.Preview(description=cron.words, timezone=zone, fires=_fires(times)))


@get("/schedules/{schedule_id:str}", opt=described(contract.Schedule), scope=Scope.READ)
async def get_schedule(request: Asked) -> Answer:
    """Read a schedule."""
    nothing(request)
    return answer(views.schedule(await _seen(request, _id(request))))


@put(
    "/schedules/{schedule_id:str}",
    opt=described(contract.Schedule, body=contract.UpdateSchedule, errors=(409,)),
    scope=Scope.ADMIN,
)
async def update_schedule(request: Asked) -> Answer:
    """Change a schedule; what is left out stays. With `version`, 409 when that is no longer the present one."""
    schedule_id = _id(request)
    body = await read(request, contract.UpdateSchedule)
    return await _driven(request, ops.ChangeSchedule(schedule_id=schedule_id, body=body))


@delete("/schedules/{schedule_id:str}", opt=described(None, status=204, errors=(409,)), status_code=200, scope=Scope.ADMIN)
async def delete_schedule(request: Asked) -> Answer:
    """Delete a schedule with its history; what it has created goes on."""
    nothing(request)
    await submit(request, ops.DeleteSchedule(schedule_id=_id(request)))
    return empty()


@post("/schedules/{schedule_id:str}/start", opt=described(contract.Schedule, **_DRIVEN), scope=Scope.ADMIN)
async def start_schedule(request: Asked) -> Answer:
    """Let a schedule fire again, at times to come."""
    schedule_id = _id(request)
    await read(request, NoBody, optional=True)
    return await _driven(request, ops.StartSchedule(schedule_id=schedule_id))


@post(
    "/schedules/{schedule_id:str}/stop",
    opt=described(contract.Schedule, query=contract.StopSchedule, **_DRIVEN),
    scope=Scope.ADMIN,
)
async def stop_schedule(request: Asked) -> Answer:
    """Pause a schedule; with `cancel`, also cancel what it has created and what has not ended."""
    schedule_id, query = _id(request), parse(request, contract.StopSchedule)
    await read(request, NoBody, optional=True, query=True)
    more = True
    while more:
        done: Scheduled = await submit(request, ops.StopSchedule(schedule_id=schedule_id, cancel=query.cancel))
        more = done.more
    return answer(views.schedule(await _seen(request, schedule_id)))


@post("/schedules/{schedule_id:str}/restart", opt=described(contract.Schedule, **_DRIVEN), scope=Scope.ADMIN)
async def restart_schedule(request: Asked) -> Answer:
    """Begin a schedule anew: active, its runs and failures counted from nothing; what has not ended is cancelled."""
    schedule_id = _id(request)
    await read(request, NoBody, optional=True)
    done: Scheduled = await submit(request, ops.RestartSchedule(schedule_id=schedule_id))
    while done.more:
        done = await submit(request, ops.RestartSchedule(schedule_id=schedule_id))
    return answer(views.schedule(await _seen(request, schedule_id)))


@post(
    "/schedules/{schedule_id:str}/execute",
    opt=described(contract.Fire, body=NoBody, body_optional=True, status=201, errors=(409,)),
    scope=Scope.SUBMIT,
)
async def execute_schedule(request: Asked) -> Answer:
    """Fire a schedule now, whatever its times are, and whatever of it runs."""
    schedule_id = _id(request)
    await read(request, NoBody, optional=True)
    done: Executed = await submit(request, ops.ExecuteSchedule(schedule_id=schedule_id))
    return answer(views.fire(done.fire), 201)


@post(
    "/schedules/{schedule_id:str}/backfill",
    opt=described(contract.Backfilled, body=contract.Backfill, errors=(409,)),
    scope=Scope.SUBMIT,
)
async def backfill_schedule(request: Asked) -> Answer:
    """Fire a schedule for those due times of a period of the past for which it has created nothing."""
    schedule_id = _id(request)
    body = await read(request, contract.Backfill)
    op = ops.BackfillSchedule(schedule_id=schedule_id, start=instant(body.start, "start"), end=instant(body.end, "end"))
    done: Backfilled = await submit(request, op)
    return answer(contract.Backfilled(due=done.due, fired=done.fired))


@get(
    "/schedules/{schedule_id:str}/preview",
    opt=described(contract.Preview, query=contract.PreviewCount),
    scope=Scope.READ,
)
async def preview_schedule(request: Asked) -> Answer:
    """Say what a schedule means, in words and times to come; of one that is paused those that it would have."""
    query = parse(request, contract.PreviewCount)
    found = await _seen(request, _id(request))
    left = query.count if found.max_runs is None else min(query.count, max(0, found.max_runs - found.runs))
    times = coming(
        cron_of(found),
        _wall(request) if found.due_at is None else found.due_at - 1,
        left,
        starts_at=found.starts_at,
        ends_at=found.ends_at,
        jitter_ms=found.jitter_ms,
        key=spread_key(found.scope, found.name),
    )
    return answer(contract.Preview(description=views.words(found), timezone=found.timezone, fires=_fires(times)))


@get("/schedules/{schedule_id:str}/fires", opt=described(Page[contract.Fire], query=contract.ListFires), scope=Scope.READ)
async def list_fires(request: Asked) -> Answer:
    """List what became of a schedule's due times, newest first: what it created, what was left out, and why."""
    query = parse(request, contract.ListFires)
    schedule_id = _id(request)
    await _seen(request, schedule_id)
    found = await _queue(request).reads.fires(schedule_id, query)
    return answer(listed(found, query, [views.fire(one) for one in found.items]))


async def _driven(request: Asked, op: ops.OnSchedule) -> Answer:
    await submit(request, op)
    return answer(views.schedule(await _seen(request, op.schedule_id)))


async def _seen(request: Asked, schedule_id: int) -> Schedule:
    """A schedule that the caller may see. Raises NotFound."""
    found = await _queue(request).reads.schedule(schedule_id, principal(request).paths)
    if found is None:
        raise NotFound(f"there is no schedule {schedule_id}", schedule_id=schedule_id)
    return found


def _fires(times: list[Millis]) -> list[contract.FireAt]:
    return [contract.FireAt(at=moment(at)) for at in times]


def _id(request: Asked) -> int:
    return path_id(request, "schedule_id")


def _wall(request: Asked) -> Millis:
    wall: Millis = request.app.state.store.wall()
    return wall


def _queue(request: Asked) -> Queue:
    queue: Queue = request.app.state.queue
    return queue


HANDLERS = tagged(
    (
        list_schedules, create_schedule, check_schedule, preview_cron, get_schedule, update_schedule, delete_schedule,
        start_schedule, stop_schedule, restart_schedule, execute_schedule, backfill_schedule, preview_schedule, list_fires,
    ),
    "Schedules",
)  # fmt: skip
