"""The tools of whoever works on tasks: take one, keep it, ask a person, finish it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, field

from orchestrator.mcp.arguments import Arguments
from orchestrator.mcp.prior import brief, prior
from orchestrator.mcp.tool import Answered, Tool
from orchestrator.mcp.visit import LEASE_S, Visit, task_of
from worker_client import endpoints
from worker_client.contract.enums import Directive, ParkReason, Scope, Status
from worker_client.contract.fields import Seconds
from worker_client.contract.reports import Complete, Fail, Park, TaskError
from worker_client.contract.tasks import ClaimNext, HeartbeatAnswer, ListTasks
from worker_client.errors import Forbidden, OrchestratorError, Retriable

_AGAIN_S: Final = 5
_UNBLOCKED: Final = 50
_TEXT: Final = 9_000
"""A text of the API has 10,000 characters at the most, and a long story is no reason to keep a task."""
_UNNAMED: Final = "mcp"
"""Who does not say which agent it is gets no task that is for a particular one."""
_WORDS: Final = {
    Directive.CANCEL: "this task was cancelled: stop, undo nothing, call task_finish with outcome failed",
    Directive.PARK: "a budget is used up: stop, call task_finish with outcome blocked and say how far you got",
}
Lease = Annotated[str, Meta(description="from task_next")]
WorkPath = Annotated[str, Meta(description="absolute path of a directory")]


class Next(Arguments):
    """What `task_next` takes."""

    work_path: Annotated[str, Meta(description="absolute path of the directory you work in")]
    worker_id: Annotated[str, Meta(description="a name of your own that no other agent has; the same in every call")]
    wait_s: Annotated[float, Meta(ge=0, le=50, description="wait so long for a task: 0 to 50, default 30")] = 30
    agent: Annotated[str | None, Meta(description="also tasks for this agent only, e.g. claude")] = None


class Beat(Arguments):
    """What `task_heartbeat` takes."""

    lease: Lease
    note: Annotated[str | None, Meta(description="progress, one line")] = None


class Ask(Arguments):
    """What `task_ask` takes."""

    lease: Lease
    question: Annotated[str, Meta(min_length=1)]
    options: Annotated[list[str], Meta(description="answers to choose from")] = field(default_factory=list)


class Finish(Arguments):
    """What `task_finish` takes."""

    lease: Lease
    outcome: Literal["done", "failed", "blocked", "rate_limited"]
    summary: Annotated[str, Meta(description="what you did, why it failed, or what you need")]
    result: Annotated[Any, Meta(description="any JSON for whoever reads it later")] = None
    retry_after_s: Annotated[Seconds | None, Meta(description="failed, rate_limited: not again before")] = None


async def take(visit: Visit, given: Next) -> Answered:
    """Claim the next task; a server that is too busy to give one says when to come back."""
    query = ClaimNext(
        work_path=[visit.path(given.work_path)],
        worker_id=given.worker_id,
        wait=given.wait_s,
        lease_seconds=LEASE_S,
        kinds=["agent"],
        agent=given.agent or _UNNAMED,
    )
    try:
        claimed = await visit.claim(query)
    except Retriable as busy:
        return {"task": None, "retry_after_s": busy.retry_after}
    if claimed is None:
        return {"task": None, "retry_after_s": _AGAIN_S}
    told: Answered = {
        "id": claimed.id,
        "title": claimed.title,
        "prompt": claimed.prompt,
        "attempt": claimed.attempt,
        "lease": claimed.lease,
        "lease_s": _seconds(claimed.updated_at, claimed.lease_expires_at),
        "prior": await prior(visit.client, claimed),
        "session_id": claimed.session_id,
    }
    if isinstance(claimed.spec, dict) and (verify := claimed.spec.get("verify")):
        told["verify"] = verify
    await visit.settle(claimed)
    return {"task": told, "retry_after_s": 0}


async def beat(visit: Visit, given: Beat) -> Answered:
    """Extend the lease, and hear what to do."""
    answer = await visit.renew(given.lease, given.note)
    message = told_of(answer)
    return {
        "ok": True,
        "lease_s": _seconds(datetime.now(UTC), answer.lease_expires_at),
        "directive": str(answer.directive),
        "message": message,
    }


def told_of(answer: HeartbeatAnswer) -> str | None:
    """What a heartbeat's answer asks for, in words."""
    words = _WORDS.get(answer.directive)
    return f"{words} ({answer.reason})" if words and answer.reason else words


async def ask(visit: Visit, given: Ask) -> Answered:
    """Park the task with a question; one that was answered before is answered at once."""
    await visit.renew(given.lease)
    task_id = task_of(given.lease)
    try:
        task = await visit.client.send(endpoints.get_task(task_id))
    except Forbidden:
        # A key for work alone does not read: `prior` has told the answer.
        task = None
    if task is not None and task.answer is not None and task.question == given.question:
        return {"answer": task.answer}
    parking = Park(lease=given.lease, reason=ParkReason.QUESTION, question=given.question, options=given.options)
    await visit.client.send(endpoints.park(task_id, parking))
    message = "stop working on this task: it comes back, with the answer in `prior`, to whoever asks then; call task_next"
    return {"parked": True, "message": message}


async def finish(visit: Visit, given: Finish) -> Answered:
    """End the lease in one of four ways."""
    task_id, lease = task_of(given.lease), given.lease
    unblocked: list[int] = []
    wait_s, result = given.retry_after_s, given.result
    if given.outcome == "done":
        dependents = await _blocked_by(visit, task_id)
        evidence = {} if result is None else {"summary": given.summary}
        report = Complete(lease=lease, result={"summary": given.summary} if result is None else result, evidence=evidence)
        await visit.client.send(endpoints.complete(task_id, report))
        unblocked = await _waiting(visit, dependents)
    elif given.outcome == "failed":
        error = TaskError(type="AgentFailed", message=given.summary, details={} if result is None else {"result": result})
        await visit.client.send(endpoints.fail(task_id, Fail(lease=lease, error=error, retry_after_seconds=wait_s)))
    elif given.outcome == "blocked":
        parking = Park(lease=lease, reason=ParkReason.QUESTION, question=brief(given.summary, _TEXT))
        await visit.client.send(endpoints.park(task_id, parking))
    else:
        until = None if wait_s is None else datetime.now(UTC) + timedelta(seconds=wait_s)
        parking = Park(lease=lease, reason=ParkReason.QUOTA, not_before=until, message=brief(given.summary, _TEXT))
        await visit.client.send(endpoints.park(task_id, parking))
    return {"ok": True, "unblocked": unblocked}


async def _blocked_by(visit: Visit, task_id: int) -> list[int]:
    """The tasks that wait for this one to be completed, as far as the caller may see them."""
    query = ListTasks(status=[Status.BLOCKED], waits_for=task_id, limit=_UNBLOCKED)
    try:
        page = await visit.client.send(endpoints.list_tasks(query))
    except OrchestratorError:
        return []
    return sorted(task.id for task in page.items)


async def _waiting(visit: Visit, task_ids: list[int]) -> list[int]:
    """Those that somebody can take now. The task is finished by now: nothing that goes wrong here is worth an error."""
    try:
        found = [await visit.client.status(task_id) for task_id in task_ids]
    except OrchestratorError:
        return []
    return [one.id for one in found if one.status is Status.WAITING]


def _seconds(start: datetime, end: datetime | None) -> int:
    return LEASE_S if end is None else max(0, round((end - start).total_seconds()))


TOOLS: Final = (
    Tool(
        name="task_next",
        description="Take the next task of a directory. It is yours until the lease ends (lease_s seconds); every call with the "
        "lease renews it. task null: there is none now, ask again after retry_after_s. prior: what earlier attempts said.",
        takes=Next,
        scope=Scope.WORK,
        run=take,
    ),
    Tool(
        name="task_heartbeat",
        description="Keep a task that takes longer than half its lease_s, and hear whether to go on: "
        "directive continue, cancel or park.",
        takes=Beat,
        scope=Scope.WORK,
        run=beat,
    ),
    Tool(
        name="task_finish",
        description="End a task. done; failed: tried again later; blocked: a person must help, summary becomes the question; "
        "rate_limited: given back until retry_after_s, counts as no attempt. unblocked: tasks that can begin now.",
        takes=Finish,
        scope=Scope.WORK,
        run=finish,
    ),
    Tool(
        name="task_ask",
        description="Ask a person. parked: stop, the task comes back later with the answer.",
        takes=Ask,
        scope=Scope.WORK,
        run=ask,
    ),
)
