"""Jobs of TimerJobs as schedules."""

import re
from collections.abc import Callable
from typing import Any, Final

from orchestrator.domain import function_calls, keyed_lines
from worker_client.contract.elsewhere import TimerJob
from worker_client.contract.enums import Overlap
from worker_client.contract.schedules import CreateSchedule
from worker_client.contract.tasks import CreateTask
from worker_client.errors import ValidationFailed

FIELD: Final = "command"
HTTP_SECONDS: Final = 60.0
COMMAND_SECONDS: Final = 30.0
_AT_ONCE: Final = 2
_DISABLED: Final = 2
_HTTP: Final = ("url", "mode", "headers", "data", "cookies", "proxy", "times", "result", "timeout")
_COMMAND: Final = ("command", "workdir", "env", "timeout", "times")
_FUNCTION: Final = ("name", "arg", "times")
_MOST_SECONDS: Final = 31_536_000
_OWN_ZONE: Final = re.compile(r"\s*(?:CRON_)?TZ=(\S+)\s+")
_CALL: Final = re.compile(r"(?P<name>[A-Za-z_]\w*)(?:\s+(?P<arg>.*))?", re.DOTALL)


def schedule_of(job: TimerJob, work_directory: str) -> CreateSchedule:
    """The same job here; `work_directory` is that of a command which names none. Raises ValidationFailed."""
    task, times = _TASKS[job.mode](job, job.work_directory or work_directory)
    zone, cron = _when(job)
    caps = [cap for cap in (job.max_run_count, times) if cap]
    return CreateSchedule(
        name=job.name,
        cron=cron,
        timezone=zone,
        description=job.desc or None,
        task=task,
        enabled=job.state != _DISABLED,
        max_runs=min(caps) if caps else None,
        overlap=Overlap.ONE_AT_A_TIME if job.allow_mode == 1 else Overlap.ALLOW,
    )


def _when(job: TimerJob) -> tuple[str | None, str]:
    """The zone and the expression, which may begin with its own zone."""
    own = _OWN_ZONE.match(job.cron_expr)
    return (job.timezone, job.cron_expr) if own is None else (own[1], job.cron_expr[own.end() :])


def fires_at_once(job: TimerJob) -> bool:
    """Whether it fires when it is saved as well."""
    return job.allow_mode == _AT_ONCE and job.state != _DISABLED


def _http(job: TimerJob, _: str) -> tuple[CreateTask, int]:
    values = keyed_lines.read(job.command, _HTTP, field=FIELD)
    if values is None:
        values = {"url": job.command.strip()}
    url = keyed_lines.line(values, "url", field=FIELD)
    if not url:
        raise _missing("url", "https://example.org/health")
    if not re.match(r"https?://[^/]", url):
        raise ValidationFailed(
            f"【url】 in `{FIELD}` is {url[:200]!r}: write an address that begins with http:// or https://", field=FIELD
        )
    spec: dict[str, Any] = {"url": url, "method": (keyed_lines.line(values, "mode", field=FIELD) or "GET").upper()}
    if "headers" in values:
        spec["headers"] = _headers(values["headers"])
    if "data" in values:
        spec["body"] = values["data"]
    for key in ("cookies", "proxy"):
        if (value := keyed_lines.line(values, key, field=FIELD)) is not None:
            spec[key] = value
    if "result" in values:
        spec |= {"expect_text": values["result"], "expect_status": "any"}
    return _task(job, "http", spec, timeout_seconds=_seconds(values, HTTP_SECONDS)), _times(values)


def _command(job: TimerJob, work_directory: str) -> tuple[CreateTask, int]:
    values = keyed_lines.read(job.command, _COMMAND, field=FIELD)
    if values is None:
        values = {"command": job.command.strip()}
    if not values.get("command"):
        raise _missing("command", "./backup.sh")
    task = _task(
        job,
        "script",
        {"command": values["command"].replace("\r\n", "\n")},
        work_directory=keyed_lines.line(values, "workdir", field=FIELD) or work_directory,
        environment=_environment(values.get("env", "")),
        timeout_seconds=_seconds(values, COMMAND_SECONDS),
    )
    return task, _times(values)


def _function(job: TimerJob, _: str) -> tuple[CreateTask, int]:
    values = keyed_lines.read(job.command, _FUNCTION, field=FIELD)
    if values is None:
        call = _CALL.fullmatch(job.command.strip())
        values = {} if call is None else {"name": call["name"], "arg": call["arg"] or ""}
    name = keyed_lines.line(values, "name", field=FIELD)
    if not name:
        raise _missing("name", "Time")
    return _task(job, "function", {"name": name, "args": function_calls.arguments(name, values.get("arg", ""))}), _times(values)


_TASKS: Final[dict[str, Callable[[TimerJob, str], tuple[CreateTask, int]]]] = {
    "http": _http,
    "command": _command,
    "func": _function,
    "function": _function,
}


def _task(job: TimerJob, kind: str, spec: dict[str, Any], **more: Any) -> CreateTask:
    # There a fire that goes wrong is not tried again, and who wrote the job could rely on it.
    where = {"work_directory": job.work_directory, **more}
    return CreateTask(kind=kind, title=job.name, spec=spec, max_attempts=1, **where)


def _missing(key: str, example: str) -> ValidationFailed:
    return ValidationFailed(f"`{FIELD}` has no 【{key}】: write for example 【{key}】{example}", field=FIELD)


def _headers(text: str) -> dict[str, str]:
    headers = {}
    for name, value in keyed_lines.pairs(text, ":"):
        if not name or "\n" in name + value:
            shown = f"{name}:{value}" if name else value
            raise ValidationFailed(
                f"【headers】 in `{FIELD}` has {shown[:100]!r}: write Name:value, with ||| between one header and the next",
                field=FIELD,
            )
        headers[name] = value
    return headers


def _environment(text: str) -> dict[str, str]:
    variables = {}
    for name, value in keyed_lines.pairs(text, "="):
        if not name:
            raise ValidationFailed(
                f"【env】 in `{FIELD}` has {value[:100]!r}: write NAME=value, with ||| between one variable and the next",
                field=FIELD,
            )
        variables[name] = value
    return variables


def _times(values: dict[str, str]) -> int:
    return _number(values, "times", 0, most=2**53, words="0 for no limit")


def _seconds(values: dict[str, str], default: float) -> float:
    return _number(values, "timeout", 1, most=_MOST_SECONDS, words="seconds") if "timeout" in values else default


def _number(values: dict[str, str], key: str, least: int, *, most: int, words: str) -> int:
    text = values.get(key, "0")
    if not re.fullmatch(r"[0-9]{1,16}", text) or not least <= int(text) <= most:
        raise ValidationFailed(
            f"【{key}】 in `{FIELD}` is {text[:100]!r}: write a whole number from {least} to {most}, {words}", field=FIELD
        )
    return int(text)
