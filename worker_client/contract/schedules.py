"""Schedules: a cron expression, and the work that it creates."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from worker_client.contract.enums import FireKind, FireOutcome, Missed, Overlap, ScheduleState
from worker_client.contract.fields import Id, JsonObject, Name, Path, Text, When
from worker_client.contract.request import Paged, Request
from worker_client.contract.tasks import CreateTask

CronText = Annotated[str, Meta(min_length=1, max_length=255)]
ZoneName = Annotated[str, Meta(min_length=1, max_length=100)]
Period = Annotated[float, Meta(ge=0, le=31_536_000)]
Runs = Annotated[int, Meta(ge=1, le=2**53)]
Failures = Annotated[int, Meta(ge=1, le=1000)]


class WorkflowCall(Request, kw_only=True):
    """A run of a workflow, with the input that goes over its defaults."""

    id: Name
    input: JsonObject = {}


class CommandCall(Request, kw_only=True):
    """A task of kind agent whose prompt is a command, for a work directory (by default `task.default_work_directory`)."""

    name: Name
    arguments: str | JsonObject = ""
    work_directory: Path | None = None


class CreateSchedule(Request, kw_only=True):
    """When, and what: exactly one of `task`, `tasks`, `workflow` and `command`.

    `timezone`: by default the setting `scheduler.timezone`. Durations in seconds. `managed_by`: a label of the files that it is
    kept by, for good.
    """

    name: Name
    cron: CronText
    timezone: ZoneName | None = None
    description: Text | None = None
    task: CreateTask | None = None
    tasks: Annotated[list[CreateTask], Meta(min_length=1, max_length=1000)] | None = None
    workflow: WorkflowCall | None = None
    command: CommandCall | None = None
    enabled: bool = True
    jitter_seconds: Period = 0
    starts_at: When | None = None
    ends_at: When | None = None
    max_runs: Runs | None = None
    overlap: Overlap = Overlap.ALLOW
    missed: Missed = Missed.ONCE
    missed_window_seconds: Period = 86_400
    pause_after_failures: Failures | None = None
    managed_by: Name | None = None


class UpdateSchedule(Request, kw_only=True):
    """What is left out stays; one of `task`, `tasks`, `workflow` and `command` takes the place of what there was."""

    version: Annotated[int, Meta(ge=1)] | None = None
    name: Name | UnsetType = UNSET
    cron: CronText | UnsetType = UNSET
    timezone: ZoneName | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    task: CreateTask | UnsetType = UNSET
    tasks: Annotated[list[CreateTask], Meta(min_length=1, max_length=1000)] | UnsetType = UNSET
    workflow: WorkflowCall | UnsetType = UNSET
    command: CommandCall | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    jitter_seconds: Period | UnsetType = UNSET
    starts_at: When | UnsetType | None = UNSET
    ends_at: When | UnsetType | None = UNSET
    max_runs: Runs | UnsetType | None = UNSET
    overlap: Overlap | UnsetType = UNSET
    missed: Missed | UnsetType = UNSET
    missed_window_seconds: Period | UnsetType = UNSET
    pause_after_failures: Failures | UnsetType | None = UNSET


class PreviewSchedule(Request, kw_only=True):
    """A cron expression before it is saved; `name` is what `H` spreads by."""

    cron: CronText
    timezone: ZoneName | None = None
    name: str = ""
    starts_at: When | None = None
    ends_at: When | None = None
    jitter_seconds: Period = 0
    count: Annotated[int, Meta(ge=1, le=1000)] = 5


class PreviewCount(Request, kw_only=True):
    """How many times to come."""

    count: Annotated[int, Meta(ge=1, le=1000)] = 5


class FireAt(Struct, kw_only=True):
    """A time to come."""

    at: datetime


class Preview(Struct, kw_only=True):
    """An expression in words, and the times to come."""

    description: str
    timezone: str
    fires: list[FireAt]


class StopSchedule(Request, kw_only=True):
    """`cancel`: also cancel what it has created and what has not ended."""

    cancel: bool = False


class Backfill(Request, kw_only=True):
    """Fire for the due times from `start` to before `end`, both in the past, that have not fired."""

    start: When
    end: When


class Backfilled(Struct, kw_only=True):
    """How many due times there were, and for how many of them work was created."""

    due: int
    fired: int


class ListSchedules(Paged, kw_only=True):
    """A page of schedules, by name."""

    q: Annotated[str, Meta(max_length=500)] | None = None
    state: ScheduleState | None = None
    workflow_id: Name | None = None


class Schedule(Struct, kw_only=True):
    """A schedule as it stands. `runs` counts its fires; `workflow_id`: of the workflow whose deployment it belongs to."""

    id: int
    version: int
    name: str
    description: str | None
    cron: str
    words: str
    timezone: str
    task: JsonObject | None
    tasks: list[JsonObject] | None
    workflow: JsonObject | None
    command: JsonObject | None
    state: ScheduleState
    enabled: bool
    paused_reason: str | None
    jitter_seconds: float
    starts_at: datetime | None
    ends_at: datetime | None
    max_runs: int | None
    overlap: Overlap
    missed: Missed
    missed_window_seconds: float
    pause_after_failures: int | None
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    runs: int
    failures: int
    workflow_id: str | None
    created_at: datetime
    updated_at: datetime
    created_by: str
    managed_by: str | None = None


class ListFires(Paged, kw_only=True):
    """A page of a schedule's history, newest first."""

    outcome: FireOutcome | None = None


class Fire(Struct, kw_only=True):
    """What became of a due time.

    `times`: how many due times one row of skipped ones stands for, counted up to 1,000; the last of them is `due_at`.
    """

    id: int
    schedule_id: Id
    kind: FireKind
    due_at: datetime
    decided_at: datetime
    outcome: FireOutcome
    reason: str | None
    times: int
    task_ids: list[int]
    run_id: int | None
