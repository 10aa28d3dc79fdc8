"""Jobs of AI Schedule as schedules and tasks."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from orchestrator.domain.explain import invalid
from worker_client.contract.elsewhere import AgentConfig, AgentJob, ApiConfig, ScriptConfig
from worker_client.contract.schedules import CreateSchedule, WorkflowCall
from worker_client.contract.tasks import CreateTask
from worker_client.errors import ValidationFailed

_EXAMPLES: Final = {
    "script": '{"script": {"command": "bash", "args": ["/scripts/backup.sh"]}}',
    "api": '{"api": {"url": "https://example.org/health", "method": "GET"}}',
    "workflow": '{"workflow": {"id": "wf_1"}}',
    "agent": '{"agent": {"prompt": "Fix the failing test", "work_directory": "/srv/shop"}}',
}


def task_of(job: AgentJob, work_directory: str) -> CreateTask:
    """The task that a job without a time is; raises ValidationFailed."""
    if job.type == "workflow":
        raise ValidationFailed(
            "`type` is workflow, and `cron_expression` is missing: send it, or POST /api/v1/workflows/{id}/execute to run it now",
            field="cron_expression",
        )
    return _TASKS[job.type](job, work_directory)


def schedule_of(job: AgentJob, work_directory: str) -> CreateSchedule:
    """The schedule that a job is; raises ValidationFailed."""
    if job.cron_expression is None:
        raise ValidationFailed("`cron_expression` is missing: say when, for example 0 0 2 * * *", field="cron_expression")
    what: dict[str, Any] = (
        {"workflow": _converted(_chosen(job, "workflow"), WorkflowCall, "workflow")}
        if job.type == "workflow"
        else {"task": _TASKS[job.type](job, work_directory)}
    )
    return CreateSchedule(name=job.name, cron=job.cron_expression, timezone=job.timezone, description=job.description, **what)


def _script(job: AgentJob, work_directory: str) -> CreateTask:
    script: ScriptConfig = _chosen(job, "script")
    return _task(job, "script", msgspec.to_builtins(script), work_directory=job.work_directory or work_directory)


def _api(job: AgentJob, _: str) -> CreateTask:
    api: ApiConfig = _chosen(job, "api")
    return _task(job, "http", msgspec.to_builtins(api), work_directory=job.work_directory)


def _agent(job: AgentJob, work_directory: str) -> CreateTask:
    own = {"title": job.name, "work_directory": job.work_directory or work_directory, **_chosen(job, "agent")}
    task: CreateTask = _converted(msgspec.to_builtins({**own, **_common(job)}), CreateTask, "agent")
    return task


_TASKS: Final[dict[str, Callable[[AgentJob, str], CreateTask]]] = {"script": _script, "api": _api, "agent": _agent}


def _task(job: AgentJob, kind: str, spec: dict[str, Any], **more: Any) -> CreateTask:
    return CreateTask(kind=kind, title=job.name, spec=spec, **_common(job), **more)


def _common(job: AgentJob) -> dict[str, Any]:
    given = {"description": job.description, "environment": job.environment, "resource_limits": job.resource_limits}
    return {name: value for name, value in given.items() if value}


def _chosen(job: AgentJob, kind: str) -> Any:
    """What the job's config says for its type, and nothing for another."""
    config, example = job.agent_config, _EXAMPLES[kind]
    if config is None:
        raise ValidationFailed(f"`agent_config` is missing: say what to do, for example {example}", field="agent_config")
    if (chosen := getattr(config, kind)) is None:
        message = f"`agent_config.{kind}` is missing, which `type` {kind} needs: send for example {example}"
        raise ValidationFailed(message, field=f"agent_config.{kind}")
    others = [name for name in AgentConfig.__struct_fields__ if name != kind and getattr(config, name) is not None]
    if others:
        message = f"`agent_config.{others[0]}` is not for `type` {kind}: leave it out, or correct `type`"
        raise ValidationFailed(message, field=f"agent_config.{others[0]}")
    return chosen


def _converted(value: Any, of: Any, kind: str) -> Any:
    try:
        return msgspec.convert(value, of)
    except msgspec.ValidationError as error:
        raise invalid(error, of, value, within=f"agent_config.{kind}") from None
