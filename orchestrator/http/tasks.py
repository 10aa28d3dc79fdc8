"""Creating, reading and changing tasks."""

from typing import Any, Final

from litestar import delete, get, post, put
from msgspec import Struct
from msgspec.structs import asdict

from orchestrator.domain import operations as ops
from orchestrator.domain.drafting import Together, change, keyed_task
from orchestrator.domain.elsewhere import Adopted
from orchestrator.domain.outcomes import Changed, Created
from orchestrator.domain.task import TaskView
from orchestrator.http import intake, schedule_views, views
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer, empty
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import listed, part
from orchestrator.http.query import nothing, parse
from orchestrator.http.schedule_bodies import made, sent_task
from orchestrator.http.scope import Asked, path_id, principal, submit
from orchestrator.http.searching import searched
from orchestrator.http.why import explained
from orchestrator.queue.commit import Queue
from worker_client.contract import tasks as contract
from worker_client.contract.attempts import Attempt, ListTaskAttempts
from worker_client.contract.elsewhere import ScheduledJob
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.errors import NotFound, PayloadTooLarge

_CHANGED: dict[str, Any] = {"errors": (409,)}
_PARENTS: Final = 50_000
"""Each is a row: with many more everybody would wait for seconds."""


class NoBody(Struct, forbid_unknown_fields=True):
    """Nothing needs to be sent."""


@post(
    "/tasks",
    opt=described(contract.CreatedTask, body=contract.CreateTask, status=201, also=(200,), errors=(409,)),
    scope=Scope.SUBMIT,
)
async def create_task(request: Asked) -> Answer:
    """Create a task.

    200 when the `key` had created it before, with the same body. Jobs of AI Schedule are taken as they are sent there; of one
    with `cron_expression` the schedule is made and answered, with its `schedule_id`.
    """
    body = await sent_task(request)
    if isinstance(body, Adopted):
        schedule = schedule_views.schedule(await made(request, body))
        return answer(ScheduledJob(schedule_id=schedule.id, **asdict(schedule)), 201)
    new = keyed_task(body, request.app.state.queue.rules.defaults)
    outcome: Created = await submit(request, ops.Enqueue(tasks=(new,)))
    ((task_id, fresh),) = outcome.tasks
    return answer(views.created(outcome.views[task_id], new=fresh), 201 if fresh else 200)


@post(
    "/tasks/batch", opt=described(contract.CreatedTasks, body=contract.CreateTasks, status=201, errors=(409,)), scope=Scope.SUBMIT
)
async def create_tasks(request: Asked) -> Answer:
    """Create up to 1000 tasks, all or none; they may depend on 50,000 others in all."""
    body = await read(request, contract.CreateTasks)
    if (parents := sum(len(task.depends_on) for task in body.tasks)) > _PARENTS:
        said = f"the tasks depend on {parents} others in all, more than the {_PARENTS} that are allowed at once: send fewer"
        raise PayloadTooLarge(said, field="tasks", limit=_PARENTS)
    together = Together(request.app.state.queue.rules.defaults)
    new = tuple(together.draft(task, f"tasks[{place}].", keyed_task) for place, task in enumerate(body.tasks))
    outcome: Created = await submit(request, ops.Enqueue(tasks=new, many=True))
    return answer({"tasks": [views.created(outcome.views[task_id], new=fresh) for task_id, fresh in outcome.tasks]}, 201)


@get("/tasks", opt=described(Page[contract.Task], query=contract.ListTasks), scope=Scope.READ)
async def list_tasks(request: Asked) -> Answer:
    """List tasks, newest first.

    Filters of one name are alternatives (`status=waiting&status=running`), except `tag`: a task has all of them. `q`: words in
    title, prompt, tags, description, result or error; see docs/searching.md.
    """
    query = intake.filtered(parse(request, contract.ListTasks))
    queue: Queue = request.app.state.queue
    found = await searched(queue, queue.reads.tasks(query, principal(request).paths))
    most = query.excerpt
    return answer(listed(found, query, [views.task(view) if most is None else views.excerpt(view, most) for view in found.items]))


@get("/tasks/{task_id:str}", opt=described(contract.Task), scope=Scope.READ)
async def get_task(request: Asked) -> Answer:
    """Read a task."""
    nothing(request)
    return answer(views.task(await seen(request, path_id(request))))


@put("/tasks/{task_id:str}", opt=described(contract.Task, body=contract.UpdateTask, **_CHANGED), scope=Scope.SUBMIT)
async def update_task(request: Asked) -> Answer:
    """Change a task that is neither running nor final.

    What is left out stays. With `version`, 409 when the task is no longer at that one.
    """
    task_id = path_id(request)
    body = await read(request, contract.UpdateTask)
    view = await seen(request, task_id)
    return await changed(request, change(view, body, request.app.state.queue.rules.defaults))


@delete("/tasks/{task_id:str}", opt=described(None, status=204, **_CHANGED), status_code=200, scope=Scope.SUBMIT)
async def delete_task(request: Asked) -> Answer:
    """Delete a task that is not running, with its attempts and logs."""
    nothing(request)
    await submit(request, ops.Delete(task_id=path_id(request)))
    return empty()


@post(
    "/tasks/{task_id:str}/cancel",
    opt=described(contract.Task, body=contract.Reason, body_optional=True, **_CHANGED),
    scope=Scope.SUBMIT,
)
async def cancel_task(request: Asked) -> Answer:
    """Cancel a task.

    One that runs is asked to stop: it gets `cancel_requested_at`, and its worker the directive.
    """
    task_id = path_id(request)
    body = await read(request, contract.Reason, optional=True)
    return await changed(request, ops.Cancel(task_id=task_id, reason=_reason(request, body)))


@post("/tasks/{task_id:str}/retry", opt=described(contract.Task, body=NoBody, body_optional=True, **_CHANGED), scope=Scope.SUBMIT)
async def retry_task(request: Asked) -> Answer:
    """Begin a task again that has ended, with all its attempts."""
    task_id = path_id(request)
    await read(request, NoBody, optional=True)
    return await changed(request, ops.Retry(task_id=task_id))


@post(
    "/tasks/{task_id:str}/execute", opt=described(contract.Task, body=NoBody, body_optional=True, **_CHANGED), scope=Scope.SUBMIT
)
async def execute_task(request: Asked) -> Answer:
    """Make a task due now.

    A scheduled one waits from now on, one that waits goes to the head of its directory.
    """
    task_id = path_id(request)
    await read(request, NoBody, optional=True)
    return await changed(request, ops.Execute(task_id=task_id))


@post("/tasks/{task_id:str}/answer", opt=described(contract.Task, body=contract.Answer, **_CHANGED), scope=Scope.SUBMIT)
async def answer_task(request: Asked) -> Answer:
    """Answer the question that a task is parked with."""
    task_id = path_id(request)
    body = await read(request, contract.Answer)
    return await changed(request, ops.Answer(task_id=task_id, answer=body.answer))


@post(
    "/tasks/{task_id:str}/approve", opt=described(contract.Task, body=NoBody, body_optional=True, **_CHANGED), scope=Scope.ADMIN
)
async def approve_task(request: Asked) -> Answer:
    """Let a task run that waits for an approval."""
    task_id = path_id(request)
    await read(request, NoBody, optional=True)
    return await changed(request, ops.Approve(task_id=task_id))


@post(
    "/tasks/{task_id:str}/reject",
    opt=described(contract.Task, body=contract.Reason, body_optional=True, **_CHANGED),
    scope=Scope.ADMIN,
)
async def reject_task(request: Asked) -> Answer:
    """Cancel a task instead of approving it."""
    task_id = path_id(request)
    body = await read(request, contract.Reason, optional=True)
    return await changed(request, ops.Reject(task_id=task_id, reason=_reason(request, body)))


@get("/tasks/{task_id:str}/why", opt=described(contract.Why), scope=Scope.READ)
async def explain_task(request: Asked) -> Answer:
    """Say why a task does not run."""
    nothing(request)
    view = await seen(request, path_id(request))
    return answer(await explained(view.head, request.app.state.queue, principal(request).paths))


@get("/tasks/{task_id:str}/attempts", opt=described(Page[Attempt], query=ListTaskAttempts), scope=Scope.READ)
async def list_task_attempts(request: Asked) -> Answer:
    """List the attempts of a task in their order; the one that runs comes last, and has no id yet."""
    task_id = path_id(request)
    query = parse(request, ListTaskAttempts)
    attempts = await request.app.state.queue.reads.attempts_of(task_id, principal(request).paths)
    if attempts is None:
        raise missing(task_id)
    return answer(part(attempts, query))


def _reason(request: Asked, body: contract.Reason) -> str | None:
    return intake.masked(body.reason, request.app.state.redaction)


async def changed(request: Asked, op: ops.Operation) -> Answer:
    """Submit an operation on a task and show the task as it is then."""
    outcome: Changed = await submit(request, op)
    if outcome.view is None:
        raise missing(outcome.task_id)
    return answer(views.task(outcome.view))


async def seen(request: Asked, task_id: int) -> TaskView:
    """A task that the caller may see. Raises NotFound."""
    queue: Queue = request.app.state.queue
    view = await queue.reads.task(task_id, principal(request).paths)
    if view is None:
        raise missing(task_id)
    return view


def missing(task_id: int) -> NotFound:
    """The refusal for a task that is not there, or not for who asks."""
    return NotFound(f"there is no task {task_id}", task_id=task_id)


HANDLERS = tagged(
    (
        create_task, create_tasks, list_tasks, get_task, update_task, delete_task, cancel_task, retry_task, execute_task,
        answer_task, approve_task, reject_task, explain_task, list_task_attempts,
    ),
    "Tasks",
)  # fmt: skip
