"""Jobs as other schedulers write them, which are taken in their own words; docs/coming-from.md says what maps to what."""

from typing import Annotated, Literal

from msgspec import Meta

from worker_client.contract.fields import Json, JsonObject, Name, Path, Text
from worker_client.contract.limits import ResourceLimits
from worker_client.contract.request import Request
from worker_client.contract.schedules import CronText, Schedule, ZoneName
from worker_client.contract.specs import NonEmpty

Command = Annotated[str, Meta(max_length=1_000_000)]


class TimerJob(Request, kw_only=True):
    """A job of TimerJobs, as it is sent to its `/jobs/add`.

    `command`: lines of `【key】value`, as its mode has them. `state` 2 is disabled; `allow_mode` 0 allows overlaps, 1 is one at a
    time, 2 fires once when saved, too. `timezone` and `work_directory` are ours.
    """

    name: Name
    cron_expr: CronText
    mode: Literal["http", "command", "func", "function"]
    command: Command
    desc: Text = ""
    state: Annotated[int, Meta(ge=0, le=2)] = 0
    allow_mode: Annotated[int, Meta(ge=0, le=2)] = 0
    max_run_count: Annotated[int, Meta(ge=0, le=2**53)] = 0
    timezone: ZoneName | None = None
    work_directory: Path | None = None


class ScriptConfig(Request, kw_only=True):
    """A program and its arguments."""

    command: NonEmpty
    args: list[str] = []


class ApiConfig(Request, kw_only=True):
    """A request to send."""

    url: NonEmpty
    method: str = "GET"
    headers: dict[str, str] = {}
    body: Json = None


class AgentConfig(Request, kw_only=True):
    """What to do: the one of these that the job's `type` names."""

    script: ScriptConfig | None = None
    api: ApiConfig | None = None
    workflow: JsonObject | None = None
    agent: JsonObject | None = None


class AgentJob(Request, kw_only=True):
    """A job of AI Schedule, as it is sent to its `/api/tasks`; `timezone` and `work_directory` are ours."""

    name: Name
    type: Literal["script", "api", "workflow", "agent"]
    cron_expression: CronText | None = None
    description: Text | None = None
    agent_config: AgentConfig | None = None
    environment: dict[str, str] = {}
    resource_limits: ResourceLimits | None = None
    timezone: ZoneName | None = None
    work_directory: Path | None = None


class ScheduledJob(Schedule, kw_only=True):
    """The schedule that a job became which was sent as a task with a time."""

    schedule_id: int
