"""The method surface of both clients, declared once: every endpoint, with the fields of its body as keyword arguments.

`client.create(prompt="Fix it", work_directory="/repo")` is
`client.send(endpoints.create_task(CreateTask(prompt="Fix it", work_directory="/repo")))`.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from worker_client import endpoints
from worker_client.contract import logs as output
from worker_client.contract import reports, tasks
from worker_client.contract.attempts import ListAttempts, ListTaskAttempts
from worker_client.contract.directories import ListDirectories, SetDirectory
from worker_client.contract.workers import ListWorkers
from worker_client.endpoints import Call

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")


class Method(Generic[P, T]):
    """An endpoint as a method: of a Client it returns T, of an AsyncClient a coroutine of T."""

    def __init__(self, endpoint: Callable[P, Call[T]]) -> None:
        self._endpoint = endpoint
        self.__doc__ = endpoint.__doc__

    @overload
    def __get__(self, client: "SyncMethods", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncMethods", owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    def __get__(self, client: Any, owner: type) -> Any:
        return self if client is None else partial(self._send, client)

    def _send(self, client: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        return client.send(self._endpoint(*args, **kwargs))


def _of(endpoint: Callable[[B], Call[T]], body: Callable[P, B]) -> Method[P, T]:
    def call(*args: P.args, **kwargs: P.kwargs) -> Call[T]:
        return endpoint(body(*args, **kwargs))

    call.__doc__ = endpoint.__doc__
    return Method(call)


def _on_task(endpoint: Callable[[int, B], Call[T]], body: Callable[P, B]) -> Method[Concatenate[int, P], T]:
    def call(task_id: int, /, *args: P.args, **kwargs: P.kwargs) -> Call[T]:
        return endpoint(task_id, body(*args, **kwargs))

    call.__doc__ = endpoint.__doc__
    return Method(call)


class Methods:
    """What both clients can do; fields of a body are keyword arguments."""

    create = _of(endpoints.create_task, tasks.CreateTask)
    create_many = _of(endpoints.create_tasks, tasks.CreateTasks)
    claim = _of(endpoints.claim_next, tasks.ClaimNext)
    claim_many = _of(endpoints.claim_many, tasks.ClaimMany)
    heartbeat = _on_task(endpoints.heartbeat, reports.Heartbeat)
    complete = _on_task(endpoints.complete, reports.Complete)
    fail = _on_task(endpoints.fail, reports.Fail)
    release = _on_task(endpoints.release, reports.Release)
    park = _on_task(endpoints.park, reports.Park)
    answer = _on_task(endpoints.answer, tasks.Answer)
    approve = Method(endpoints.approve)
    reject = _on_task(endpoints.reject, tasks.Reason)
    cancel = _on_task(endpoints.cancel, tasks.Reason)
    retry = Method(endpoints.retry)
    execute = Method(endpoints.execute)
    heartbeat_many = _of(endpoints.heartbeat_many, reports.Heartbeats)
    complete_many = _of(endpoints.complete_many, reports.Completions)
    fail_many = _of(endpoints.fail_many, reports.Failures)
    retry_many = _of(endpoints.retry_many, tasks.TaskFilter)
    cancel_many = _of(endpoints.cancel_many, tasks.TaskFilter)
    get = Method(endpoints.get_task)
    status = _on_task(endpoints.task_status, tasks.WaitFor)
    why = Method(endpoints.why)
    list = _of(endpoints.list_tasks, tasks.ListTasks)
    update = _on_task(endpoints.update_task, tasks.UpdateTask)
    delete = Method(endpoints.delete_task)
    attempts = _on_task(endpoints.task_attempts, ListTaskAttempts)
    logs = _on_task(endpoints.read_logs, output.ReadLogs)
    logs_as_text = _on_task(endpoints.read_logs_as_text, output.ReadLogs)
    append_logs = _on_task(endpoints.append_logs, output.AppendLogs)
    statistics = Method(endpoints.get_statistics)
    list_attempts = _of(endpoints.list_attempts, ListAttempts)
    get_attempt = Method(endpoints.get_attempt)
    attempt_stats = Method(endpoints.attempt_stats)
    workers = _of(endpoints.list_workers, ListWorkers)
    directories = _of(endpoints.list_directories, ListDirectories)
    set_directory = _of(endpoints.set_directory, SetDirectory)
    health = Method(endpoints.get_health)


class SyncMethods(Methods):
    """The methods of a client whose `send` returns the answer."""


class AsyncMethods(Methods):
    """The methods of a client whose `send` returns a coroutine of the answer."""
