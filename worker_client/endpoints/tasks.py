"""Tasks: creating, claiming, reporting, changing and reading them."""

from msgspec import structs

from worker_client.contract import attempts, histories, outcomes, reports, tasks
from worker_client.contract import logs as output
from worker_client.contract.envelope import Page
from worker_client.contract.request import Request
from worker_client.endpoints.call import API, Call, Repeat, post, read


def _task(task_id: int, rest: str = "") -> str:
    return f"{API}/tasks/{task_id}{rest}"


def _ending(task_id: int, verb: str, body: Request) -> Call[tasks.Task]:
    path, applied = _task(task_id, f"/{verb}"), get_task(task_id)
    return Call(method="POST", path=path, returns=tasks.Task, body=body, repeat=Repeat.REPORT, applied=applied)


def create_task(body: tasks.CreateTask) -> Call[tasks.CreatedTask]:
    """Create a task."""
    return post(f"{API}/tasks", tasks.CreatedTask, body, Repeat.KEY)


def create_tasks(body: tasks.CreateTasks) -> Call[tasks.CreatedTasks]:
    """Create up to 1000 tasks, all or none."""
    return post(f"{API}/tasks/batch", tasks.CreatedTasks, body, Repeat.KEY)


def claim_next(query: tasks.ClaimNext) -> Call[tasks.ClaimedTask | None]:
    """Claim the next task; None when there was none within `wait`."""
    path, returns = f"{API}/tasks/next", tasks.ClaimedTask | None
    return Call(method="GET", path=path, returns=returns, params=query, repeat=Repeat.POLL, hold=query.wait)


def claim_many(body: tasks.ClaimMany) -> Call[tasks.ClaimedTasks]:
    """Claim up to `limit` tasks."""
    return post(f"{API}/tasks/claim", tasks.ClaimedTasks, body, Repeat.POLL, hold=body.wait)


def heartbeat(task_id: int, body: reports.Heartbeat) -> Call[tasks.HeartbeatAnswer]:
    """Extend a lease; with `wait`, held until there is a directive."""
    return post(_task(task_id, "/heartbeat"), tasks.HeartbeatAnswer, body, Repeat.SAFE, hold=body.wait)


def complete(task_id: int, body: reports.Complete) -> Call[tasks.Task]:
    """End a task well."""
    return _ending(task_id, "complete", body)


def fail(task_id: int, body: reports.Fail) -> Call[tasks.Task]:
    """End an attempt badly."""
    return _ending(task_id, "fail", body)


def release(task_id: int, body: reports.Release) -> Call[tasks.Task]:
    """Give a task back unfinished; costs no attempt."""
    return _ending(task_id, "release", body)


def park(task_id: int, body: reports.Park) -> Call[tasks.Task]:
    """Give a task back until something outside happens; costs no attempt."""
    return _ending(task_id, "park", body)


def answer(task_id: int, body: tasks.Answer) -> Call[tasks.Task]:
    """Answer the question that a task is parked for."""
    return post(_task(task_id, "/answer"), tasks.Task, body)


def approve(task_id: int) -> Call[tasks.Task]:
    """Let a task run that requires approval."""
    return post(_task(task_id, "/approve"), tasks.Task)


def reject(task_id: int, body: tasks.Reason) -> Call[tasks.Task]:
    """Cancel a task instead of approving it."""
    return post(_task(task_id, "/reject"), tasks.Task, body)


def cancel(task_id: int, body: tasks.Reason) -> Call[tasks.Task]:
    """End a task that doesn't run; tell the worker of one that does to stop."""
    return post(_task(task_id, "/cancel"), tasks.Task, body)


def retry(task_id: int) -> Call[tasks.Task]:
    """Begin a final task again, with all its attempts."""
    return post(_task(task_id, "/retry"), tasks.Task)


def execute(task_id: int) -> Call[tasks.Task]:
    """Make a scheduled task due now; put a waiting one first."""
    return post(_task(task_id, "/execute"), tasks.Task, None, Repeat.SAFE)


def heartbeat_many(body: reports.Heartbeats) -> Call[outcomes.HeartbeatOutcomes]:
    """Up to 1000 heartbeats, with one outcome each."""
    return post(f"{API}/tasks/heartbeat", outcomes.HeartbeatOutcomes, body, Repeat.SAFE)


def complete_many(body: reports.Completions) -> Call[outcomes.TaskOutcomes]:
    """Up to 1000 completions, with one outcome each; `already_applied` in one says that an earlier sending did it."""
    return post(f"{API}/tasks/complete", outcomes.TaskOutcomes, body, Repeat.SAFE)


def fail_many(body: reports.Failures) -> Call[outcomes.TaskOutcomes]:
    """Up to 1000 failures, with one outcome each; `already_applied` in one says that an earlier sending did it."""
    return post(f"{API}/tasks/fail", outcomes.TaskOutcomes, body, Repeat.SAFE)


def retry_many(query: tasks.TaskFilter) -> Call[tasks.Counted]:
    """Begin all final tasks that match again."""
    return Call(method="POST", path=f"{API}/tasks/retry", returns=tasks.Counted, params=query)


def cancel_many(query: tasks.TaskFilter) -> Call[tasks.Counted]:
    """Cancel all tasks that match."""
    return Call(method="POST", path=f"{API}/tasks/cancel", returns=tasks.Counted, params=query)


def get_task(task_id: int) -> Call[tasks.Task]:
    """A task."""
    return read(_task(task_id), tasks.Task)


def task_status(task_id: int, query: tasks.WaitFor) -> Call[tasks.TaskState]:
    """A task's status; with `wait`, held until it is final."""
    return read(_task(task_id, "/status"), tasks.TaskState, query, hold=query.wait)


def why(task_id: int) -> Call[tasks.Why]:
    """Why a task does not run."""
    return read(_task(task_id, "/why"), tasks.Why)


def list_tasks(query: tasks.ListTasks) -> Call[Page[tasks.Task]]:
    """A page of tasks, newest first."""
    return read(f"{API}/tasks", Page[tasks.Task], query)


def update_task(task_id: int, body: tasks.UpdateTask) -> Call[tasks.Task]:
    """Change a task that is neither running nor final."""
    repeat = Repeat.SAFE if body.version is None else Repeat.NEVER
    return Call(method="PUT", path=_task(task_id), returns=tasks.Task, body=body, repeat=repeat)


def delete_task(task_id: int) -> Call[None]:
    """Delete a task that isn't running."""
    return Call(method="DELETE", path=_task(task_id), returns=None)


def task_attempts(task_id: int, query: attempts.ListTaskAttempts | None = None) -> Call[Page[attempts.Attempt]]:
    """A page of the attempts of a task, in their order."""
    return read(_task(task_id, "/attempts"), Page[attempts.Attempt], query)


def task_events(task_id: int, query: histories.ReadTaskEvents) -> Call[histories.TaskEvents]:
    """What happened to a task, in its order."""
    return read(_task(task_id, "/events"), histories.TaskEvents, query)


def task_graph(task_id: int, query: histories.ReadGraph) -> Call[histories.TaskGraph]:
    """A task with what it depends on, and what depends on it."""
    return read(_task(task_id, "/graph"), histories.TaskGraph, query)


def log_outline(task_id: int) -> Call[output.LogOutline]:
    """How much output a task has, by its leases."""
    return read(_task(task_id, "/logs/outline"), output.LogOutline)


def search_logs(task_id: int, query: output.SearchLogs) -> Call[output.LogHits]:
    """The lines of a task's output that contain a text."""
    return read(_task(task_id, "/logs/search"), output.LogHits, query)


def read_logs(task_id: int, query: output.ReadLogs) -> Call[output.LogPage]:
    """Lines of a task's output; with `wait`, held until there are new ones."""
    return read(_task(task_id, "/logs"), output.LogPage, structs.replace(query, format="json", download=False), hold=query.wait)


def read_logs_as_text(task_id: int, query: output.ReadLogs) -> Call[str]:
    """Lines of a task's output, as text."""
    return read(_task(task_id, "/logs"), str, structs.replace(query, format="text", download=False), hold=query.wait, bare=True)


def last_lines(query: output.ReadLastLines) -> Call[list[output.LastLine]]:
    """The last line of output of each of several tasks, if it has put out any."""
    return read(f"{API}/tasks/last-lines", list[output.LastLine], query)


def download_logs(task_id: int) -> Call[str]:
    """All of a task's output so far, as text."""
    return read(_task(task_id, "/logs/download"), str, bare=True)


def append_logs(task_id: int, body: output.AppendLogs) -> Call[output.Appended]:
    """Store lines of output; may be repeated when `first_line` numbers them."""
    repeat = Repeat.NEVER if body.first_line is None else Repeat.SAFE
    return post(_task(task_id, "/logs"), output.Appended, body, repeat)
