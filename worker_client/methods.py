"""The method surface of both clients, declared once: every endpoint, with the fields of its body as keyword arguments.

`client.create(prompt="Fix it", work_directory="/repo")` is
`client.send(endpoints.create_task(CreateTask(prompt="Fix it", work_directory="/repo")))`.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from worker_client import endpoints
from worker_client.contract import logs as output
from worker_client.contract import notifications as notify
from worker_client.contract import reports, system, tasks
from worker_client.contract import schedules as schedule
from worker_client.contract import workflows as workflow
from worker_client.contract.accounts import ListAccounts, SetAccount
from worker_client.contract.addresses import ChangeAddress
from worker_client.contract.advice import ListAdvice
from worker_client.contract.attempts import ListAttempts, ListTaskAttempts
from worker_client.contract.audit import ListAudit
from worker_client.contract.commands import CreateCommand, ListCommands, UpdateCommand
from worker_client.contract.directories import ListDirectories, ListWaiting, SetDirectory
from worker_client.contract.elsewhere import TimerJob
from worker_client.contract.histories import ReadGraph, ReadTaskEvents
from worker_client.contract.keys import CreateKey, CreateToken, ListKeys, UpdateKey
from worker_client.contract.request import Paged
from worker_client.contract.statistics import ReadSeries
from worker_client.contract.triggers import FireManually, ListDeliveries
from worker_client.contract.usage import ListUsage
from worker_client.contract.workers import DrainWorker, ListWorkers
from worker_client.endpoints import Call

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")
K = TypeVar("K")


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


def _on(endpoint: Callable[[K, B], Call[T]], body: Callable[P, B]) -> Method[Concatenate[K, P], T]:
    """On one task, by its id, or on another thing that the path names."""

    def call(which: K, /, *args: P.args, **kwargs: P.kwargs) -> Call[T]:
        return endpoint(which, body(*args, **kwargs))

    call.__doc__ = endpoint.__doc__
    return Method(call)


class Methods:
    """What both clients can do; fields of a body are keyword arguments."""

    create = _of(endpoints.create_task, tasks.CreateTask)
    create_many = _of(endpoints.create_tasks, tasks.CreateTasks)
    claim = _of(endpoints.claim_next, tasks.ClaimNext)
    claim_many = _of(endpoints.claim_many, tasks.ClaimMany)
    heartbeat = _on(endpoints.heartbeat, reports.Heartbeat)
    complete = _on(endpoints.complete, reports.Complete)
    fail = _on(endpoints.fail, reports.Fail)
    release = _on(endpoints.release, reports.Release)
    park = _on(endpoints.park, reports.Park)
    answer = _on(endpoints.answer, tasks.Answer)
    approve = Method(endpoints.approve)
    reject = _on(endpoints.reject, tasks.Reason)
    cancel = _on(endpoints.cancel, tasks.Reason)
    retry = Method(endpoints.retry)
    execute = Method(endpoints.execute)
    heartbeat_many = _of(endpoints.heartbeat_many, reports.Heartbeats)
    complete_many = _of(endpoints.complete_many, reports.Completions)
    fail_many = _of(endpoints.fail_many, reports.Failures)
    retry_many = _of(endpoints.retry_many, tasks.TaskFilter)
    cancel_many = _of(endpoints.cancel_many, tasks.TaskFilter)
    get = Method(endpoints.get_task)
    status = _on(endpoints.task_status, tasks.WaitFor)
    why = Method(endpoints.why)
    list = _of(endpoints.list_tasks, tasks.ListTasks)
    update = _on(endpoints.update_task, tasks.UpdateTask)
    delete = Method(endpoints.delete_task)
    attempts = _on(endpoints.task_attempts, ListTaskAttempts)
    task_events = _on(endpoints.task_events, ReadTaskEvents)
    task_graph = _on(endpoints.task_graph, ReadGraph)
    logs = _on(endpoints.read_logs, output.ReadLogs)
    logs_as_text = _on(endpoints.read_logs_as_text, output.ReadLogs)
    last_lines = _of(endpoints.last_lines, output.ReadLastLines)
    download_logs = Method(endpoints.download_logs)
    log_outline = Method(endpoints.log_outline)
    search_logs = _on(endpoints.search_logs, output.SearchLogs)
    append_logs = _on(endpoints.append_logs, output.AppendLogs)
    advice = _of(endpoints.list_advice, ListAdvice)
    task_advice = Method(endpoints.task_advice)
    statistics = Method(endpoints.get_statistics)
    statistics_now = Method(endpoints.statistics_now)
    series = _of(endpoints.read_series, ReadSeries)
    usage = _of(endpoints.list_usage, ListUsage)
    list_attempts = _of(endpoints.list_attempts, ListAttempts)
    get_attempt = Method(endpoints.get_attempt)
    attempt_stats = Method(endpoints.attempt_stats)
    workers = _of(endpoints.list_workers, ListWorkers)
    drain_worker = _on(endpoints.drain_worker, DrainWorker)
    undrain_worker = Method(endpoints.undrain_worker)
    accounts = _of(endpoints.list_accounts, ListAccounts)
    set_account = _on(endpoints.set_account, SetAccount)
    directories = _of(endpoints.list_directories, ListDirectories)
    waiting = _of(endpoints.list_waiting, ListWaiting)
    set_directory = _of(endpoints.set_directory, SetDirectory)
    health = Method(endpoints.get_health)
    keys = _of(endpoints.list_keys, ListKeys)
    create_key = _of(endpoints.create_key, CreateKey)
    update_key = _on(endpoints.update_key, UpdateKey)
    revoke_key = Method(endpoints.revoke_key)
    who_am_i = Method(endpoints.who_am_i)
    create_token = _of(endpoints.create_token, CreateToken)
    audit = _of(endpoints.list_audit, ListAudit)
    addresses = Method(endpoints.address_lists)
    add_address = _on(endpoints.add_address, ChangeAddress)
    remove_address = _on(endpoints.remove_address, ChangeAddress)
    reload = Method(endpoints.reload)
    system_info = Method(endpoints.system_info)
    system_logs = _of(endpoints.system_logs, system.ReadSystemLogs)
    system_metrics = Method(endpoints.system_metrics)
    start_scheduler = Method(endpoints.start_scheduler)
    stop_scheduler = Method(endpoints.stop_scheduler)
    schedules = _of(endpoints.list_schedules, schedule.ListSchedules)
    create_schedule = _of(endpoints.create_schedule, schedule.CreateSchedule)
    create_timer_job = _of(endpoints.create_timer_job, TimerJob)
    check_schedule = _of(endpoints.check_schedule, schedule.CreateSchedule)
    get_schedule = Method(endpoints.get_schedule)
    update_schedule = _on(endpoints.update_schedule, schedule.UpdateSchedule)
    delete_schedule = Method(endpoints.delete_schedule)
    start_schedule = Method(endpoints.start_schedule)
    stop_schedule = _on(endpoints.stop_schedule, schedule.StopSchedule)
    restart_schedule = Method(endpoints.restart_schedule)
    execute_schedule = Method(endpoints.execute_schedule)
    backfill_schedule = _on(endpoints.backfill_schedule, schedule.Backfill)
    preview_schedule = _on(endpoints.preview_schedule, schedule.PreviewCount)
    preview = _of(endpoints.preview, schedule.PreviewSchedule)
    fires = _on(endpoints.list_fires, schedule.ListFires)
    workflows = _of(endpoints.list_workflows, workflow.ListWorkflows)
    create_workflow = _of(endpoints.create_workflow, workflow.CreateWorkflow)
    check_workflow = _of(endpoints.check_workflow, workflow.CreateWorkflow)
    get_workflow = _on(endpoints.get_workflow, workflow.WorkflowVersion)
    update_workflow = _on(endpoints.update_workflow, workflow.UpdateWorkflow)
    delete_workflow = Method(endpoints.delete_workflow)
    execute_workflow = _on(endpoints.execute_workflow, workflow.Execute)
    stop_workflow = _on(endpoints.stop_workflow, tasks.Reason)
    runs = _of(endpoints.list_runs, workflow.ListRuns)
    get_run = _on(endpoints.get_run, tasks.WaitFor)
    cancel_run = _on(endpoints.cancel_run, tasks.Reason)
    resume_run = Method(endpoints.resume_run)
    deployments = _of(endpoints.list_deployments, Paged)
    get_deployment = Method(endpoints.get_deployment)
    deploy_workflow = _on(endpoints.deploy_workflow, workflow.Deploy)
    undeploy_workflow = Method(endpoints.undeploy_workflow)
    trigger_status = Method(endpoints.trigger_status)
    fire_manually = _on(endpoints.fire_manually, FireManually)
    fire_webhook = Method(endpoints.fire_webhook)
    trigger_health = Method(endpoints.trigger_health)
    public_webhooks = Method(endpoints.public_webhooks)
    deliveries = _on(endpoints.list_deliveries, ListDeliveries)
    notification_rules = _of(endpoints.list_notification_rules, notify.ListNotificationRules)
    create_notification_rule = _of(endpoints.create_notification_rule, notify.CreateNotificationRule)
    check_notification_rule = _of(endpoints.check_notification_rule, notify.CreateNotificationRule)
    get_notification_rule = Method(endpoints.get_notification_rule)
    update_notification_rule = _on(endpoints.update_notification_rule, notify.UpdateNotificationRule)
    delete_notification_rule = Method(endpoints.delete_notification_rule)
    test_notification_rule = Method(endpoints.test_notification_rule)
    redeliver_dead_notifications = Method(endpoints.redeliver_dead_notifications)
    notifications = _of(endpoints.list_notifications, notify.ListNotifications)
    redeliver_notification = Method(endpoints.redeliver_notification)
    commands = _of(endpoints.list_commands, ListCommands)
    create_command = _of(endpoints.create_command, CreateCommand)
    get_command = Method(endpoints.get_command)
    update_command = _on(endpoints.update_command, UpdateCommand)
    delete_command = Method(endpoints.delete_command)


class SyncMethods(Methods):
    """The methods of a client whose `send` returns the answer."""


class AsyncMethods(Methods):
    """The methods of a client whose `send` returns a coroutine of the answer."""
