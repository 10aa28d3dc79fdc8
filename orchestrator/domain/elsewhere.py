"""Bodies in the words of other schedulers, told from ours by fields that only they have."""

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from orchestrator.domain import agentjobs, cron, timerjobs
from orchestrator.domain.explain import invalid, nul
from worker_client.contract.elsewhere import AgentJob, TimerJob
from worker_client.contract.schedules import CreateSchedule
from worker_client.contract.tasks import CreateTask
from worker_client.errors import ValidationFailed

S = TypeVar("S", bound=Struct)
_OF_TIMER_JOBS: Final = ("cron_expr", "allow_mode", "max_run_count")
_OF_AGENT_JOBS: Final = ("cron_expression", "agent_config")


class Adopted(Struct, frozen=True):
    """The schedule that a job is here; `at_once`: it also fires when it is saved."""

    schedule: CreateSchedule
    at_once: bool = False


def schedule(sent: Any, work_directory: str) -> Adopted | None:
    """The schedule that a body asks for in other words; None when these are none of theirs. Raises ValidationFailed.

    `work_directory` is that of what names none.
    """
    if not isinstance(sent, dict):
        return None
    if _has(sent, _OF_TIMER_JOBS) or _has_all(sent, "name", "mode", "command"):
        return timer_job(_converted(sent, TimerJob), work_directory)
    if _is_agent_job(sent):
        return Adopted(_due(agentjobs.schedule_of(_converted(sent, AgentJob), work_directory), "cron_expression"))
    return None


def task(sent: Any, work_directory: str) -> CreateTask | Adopted | None:
    """The task that a body asks for in other words, or the schedule when it says when; None when these are none of theirs."""
    if not isinstance(sent, dict) or not _is_agent_job(sent):
        return None
    job = _converted(sent, AgentJob)
    if job.cron_expression is not None:
        return Adopted(_due(agentjobs.schedule_of(job, work_directory), "cron_expression"))
    return agentjobs.task_of(job, work_directory)


def timer_job(job: TimerJob, work_directory: str) -> Adopted:
    """The schedule that a job of TimerJobs is; raises ValidationFailed."""
    return Adopted(_due(timerjobs.schedule_of(job, work_directory), "cron_expr"), at_once=timerjobs.fires_at_once(job))


def _due(made: CreateSchedule, field: str) -> CreateSchedule:
    """The same schedule; what is wrong with its time is said of the field that was sent."""
    try:
        cron.parse(made.cron.strip(), made.timezone or "UTC", made.name)
    except cron.CronError as error:
        raise ValidationFailed(str(error), field="timezone" if str(error).startswith("timezone") else field) from None
    return made


def _is_agent_job(sent: dict[str, Any]) -> bool:
    return _has(sent, _OF_AGENT_JOBS) or _has_all(sent, "name", "type")


def _has(sent: dict[str, Any], names: tuple[str, ...]) -> bool:
    return any(name in sent for name in names)


def _has_all(sent: dict[str, Any], *names: str) -> bool:
    return all(name in sent for name in names)


def _converted(sent: dict[str, Any], of: type[S]) -> S:
    try:
        body = msgspec.convert(sent, of)
    except msgspec.ValidationError as error:
        raise invalid(error, of, sent) from None
    if (field := nul(sent)) is not None:
        raise ValidationFailed(f"`{field}` contains a NUL byte: leave it out", field=field)
    return body
