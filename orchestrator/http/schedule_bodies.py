"""What is sent to create a schedule: in our words, or in those of other schedulers."""

from orchestrator.domain import elsewhere
from orchestrator.domain.elsewhere import Adopted
from orchestrator.domain.records import Schedule
from orchestrator.domain.schedule_operations import AddSchedule
from orchestrator.domain.schedule_outcomes import Scheduled
from orchestrator.http.body import read_or
from orchestrator.http.scope import Asked, principal, submit
from worker_client.contract.schedules import CreateSchedule
from worker_client.contract.tasks import CreateTask
from worker_client.errors import NotFound


async def sent(request: Asked) -> Adopted:
    """The schedule that a body asks for. Raises ValidationFailed."""
    body = await read_or(request, CreateSchedule, lambda other: elsewhere.schedule(other, _directory(request)))
    return body if isinstance(body, Adopted) else Adopted(body)


async def sent_task(request: Asked) -> CreateTask | Adopted:
    """The task that a body asks for; the schedule, of a job of AI Schedule that says when. Raises ValidationFailed."""
    return await read_or(request, CreateTask, lambda other: elsewhere.task(other, _directory(request)))


async def made(request: Asked, new: Adopted) -> Schedule:
    """A new schedule as it is stored."""
    outcome: Scheduled = await submit(request, AddSchedule(body=new.schedule, fires=new.at_once))
    found: Schedule | None = await request.app.state.queue.reads.schedule(outcome.schedule_id, principal(request).paths)
    if found is None:
        raise NotFound(f"schedule {outcome.schedule_id} was deleted meanwhile", schedule_id=outcome.schedule_id)
    return found


def _directory(request: Asked) -> str:
    directory: str = request.app.state.queue.rules.defaults.work_directory
    return directory
