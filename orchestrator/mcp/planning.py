"""The tools of whoever puts work in and looks at it."""

from typing import Annotated, Any, Final

from msgspec import Meta, field

from orchestrator.mcp.arguments import Arguments
from orchestrator.mcp.looking import line, whole
from orchestrator.mcp.tool import Answered, Tool
from orchestrator.mcp.visit import Visit
from worker_client import endpoints
from worker_client.contract.enums import Priority, Scope, Status
from worker_client.contract.tasks import CreateTask, ListTasks, Reason

_SENT: Final = ("prompt", "title", "depends_on", "priority", "run_at", "key", "kind", "spec", "command", "arguments")
Held = Annotated[str | None, Meta(description="yours, to renew it")]


class Add(Arguments):
    """What `task_add` takes."""

    prompt: Annotated[str | None, Meta(description="all that the agent needs to know")] = None
    work_path: Annotated[str | None, Meta(description="absolute path of its directory")] = None
    title: str | None = None
    depends_on: Annotated[list[int], Meta(description="ids that must be done before")] = field(default_factory=list)
    priority: Priority = Priority.NORMAL
    run_at: Annotated[str | None, Meta(description="not before, RFC 3339")] = None
    key: Annotated[str | None, Meta(description="added again with this key it is made once")] = None
    kind: Annotated[str, Meta(description="agent (default), script, http, function")] = "agent"
    spec: Annotated[dict[str, Any] | None, Meta(description="of the kind, e.g. command of a script, verify of an agent")] = None
    command: Annotated[str | None, Meta(description="a named prompt of the server, for prompt")] = None
    arguments: Annotated[str | dict[str, Any] | None, Meta(description="of the command: text, or by name")] = None
    lease: Held = None


class List(Arguments):
    """What `task_list` takes."""

    work_path: Annotated[str | None, Meta(description="it and what is below")] = None
    status: Status | None = None
    limit: Annotated[int, Meta(ge=1, le=200, description="default 20")] = 20
    cursor: str | None = None
    lease: Held = None


class Get(Arguments):
    """What `task_get` takes."""

    id: int
    log_tail: Annotated[int, Meta(ge=0, le=500, description="so many last lines of its output, to 500")] = 0
    lease: Held = None


class Cancel(Arguments):
    """What `task_cancel` takes."""

    id: int
    reason: str | None = None


class Retry(Arguments):
    """What `task_retry` takes."""

    id: int


async def add(visit: Visit, given: Add) -> Answered:
    """Create a task."""
    told = {name: getattr(given, name) for name in _SENT}
    path = None if given.work_path is None else visit.path(given.work_path)
    created = await visit.client.send(endpoints.create_task(CreateTask(work_directory=path, **told)))
    return {"id": created.id, "created": created.created}


async def listed(visit: Visit, given: List) -> Answered:
    """A line per task, newest first."""
    query = ListTasks(
        work_path=None if given.work_path is None else [visit.path(given.work_path)],
        recursive=given.work_path is not None,
        status=None if given.status is None else [given.status],
        limit=given.limit,
        cursor=given.cursor,
    )
    page = await visit.client.send(endpoints.list_tasks(query))
    told: Answered = {"tasks": [line(task) for task in page.items], "total": page.total}
    if page.next_cursor:
        told["next_cursor"] = page.next_cursor
    return told


async def get(visit: Visit, given: Get) -> Answered:
    """A task with its attempts, and the end of its output."""
    return await whole(visit.client, given.id, log_tail=given.log_tail)


async def cancel(visit: Visit, given: Cancel) -> Answered:
    """Cancel a task; one that runs is asked to stop."""
    task = await visit.client.send(endpoints.cancel(given.id, Reason(reason=given.reason)))
    return {"ok": True, "status": str(task.status)}


async def retry(visit: Visit, given: Retry) -> Answered:
    """Begin a task again."""
    task = await visit.client.send(endpoints.retry(given.id))
    return {"ok": True, "status": str(task.status)}


TOOLS: Final = (
    Tool(
        name="task_add",
        description="Put a task into the queue of a directory, for any agent to take.",
        takes=Add,
        scope=Scope.SUBMIT,
        run=add,
    ),
    Tool(
        name="task_list",
        description="Tasks, newest first, a line each: id, status, priority, directory, title.",
        takes=List,
        scope=Scope.READ,
        run=listed,
        reads=True,
    ),
    Tool(
        name="task_get",
        description="A task: what was asked, how it stands and why, result, attempts, output.",
        takes=Get,
        scope=Scope.READ,
        run=get,
        reads=True,
    ),
    Tool(
        name="task_cancel",
        description="Cancel a task; one that runs is told to stop.",
        takes=Cancel,
        scope=Scope.ADMIN,
        run=cancel,
        ends=True,
    ),
    Tool(
        name="task_retry",
        description="Begin a failed, cancelled or completed task again.",
        takes=Retry,
        scope=Scope.ADMIN,
        run=retry,
    ),
)
