"""Tasks: what is sent to create, claim and change them, and what comes back."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from worker_client.contract.enums import Directive, ParkReason, Priority, Status
from worker_client.contract.fields import (
    Id,
    Ids,
    Json,
    JsonObject,
    Kind,
    LeaseSeconds,
    Limit,
    Name,
    Offset,
    Path,
    Paths,
    Seconds,
    Several,
    Tags,
    Text,
    TimeoutSeconds,
    WaitSeconds,
    When,
)
from worker_client.contract.limits import ResourceLimits
from worker_client.contract.reports import Progress, TaskError, Usage
from worker_client.contract.request import Request

Attempts = Annotated[int, Meta(ge=1, le=1000)]


class Backoff(Request, kw_only=True):
    """Seconds before attempt n + 1: `base * factor ** (n - 1)`, at most `cap`, give or take the part `jitter`."""

    base_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 2
    factor: Annotated[float, Meta(ge=1, le=100)] = 2
    cap_seconds: Annotated[float, Meta(ge=0, le=604_800)] = 900
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.2


class CreateTask(Request, kw_only=True):
    """One piece of work for one work directory; `command` and its `arguments` (by place or by name) stand for the `prompt`."""

    work_directory: Path | None = None
    prompt: str | None = None
    command: Name | None = None
    arguments: str | JsonObject | None = None
    title: Annotated[str, Meta(max_length=500)] | None = None
    description: Text | None = None
    priority: Priority = Priority.NORMAL
    tags: Tags = []
    kind: Kind = "agent"
    spec: JsonObject | None = None
    host: Annotated[str, Meta(max_length=255)] = ""
    run_at: When | None = None
    delay_seconds: Seconds | None = None
    max_attempts: Attempts | None = None
    timeout_seconds: TimeoutSeconds | None = None
    backoff: Backoff | None = None
    depends_on: Ids = []
    key: Name | None = None
    exclusive: bool = False
    requires_approval: bool = False
    metadata: JsonObject = {}
    environment: dict[str, str] = {}
    resource_limits: ResourceLimits | None = None


class CreateTasks(Request, kw_only=True):
    """Up to 1000 tasks, created all or none."""

    tasks: Annotated[list[CreateTask], Meta(min_length=1, max_length=1000)]


class UpdateTask(Request, kw_only=True):
    """What may change while a task is neither running nor final; what is left out stays."""

    version: Annotated[int, Meta(ge=1)] | None = None
    work_directory: Path | UnsetType = UNSET
    host: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    prompt: str | UnsetType = UNSET
    title: Annotated[str, Meta(max_length=500)] | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    spec: JsonObject | UnsetType | None = UNSET
    run_at: When | UnsetType | None = UNSET
    max_attempts: Attempts | UnsetType = UNSET
    timeout_seconds: TimeoutSeconds | UnsetType = UNSET
    backoff: Backoff | UnsetType | None = UNSET
    exclusive: bool | UnsetType = UNSET
    metadata: JsonObject | UnsetType = UNSET
    environment: dict[str, str] | UnsetType = UNSET
    resource_limits: ResourceLimits | UnsetType = UNSET


class ClaimNext(Request, kw_only=True):
    """Ask for the next task of one or more work directories; held up to `wait` seconds when there is none.

    `agent`: of agent tasks only those for this agent, and those that name none.
    """

    work_path: Annotated[list[Path], Meta(min_length=1, max_length=100)]
    worker_id: Name
    wait: WaitSeconds = 30
    lease_seconds: LeaseSeconds = 3600
    recursive: bool = False
    exclusive: bool = False
    kinds: Annotated[list[Kind], Meta(max_length=50)] = []
    tags: Tags = []
    host: Annotated[str, Meta(max_length=255)] = ""
    account: Annotated[str, Meta(max_length=255)] | None = None
    agent: Name | None = None
    poll_id: Name | None = None
    confirm_seconds: Annotated[float, Meta(ge=1, le=3600)] | None = None


class ClaimMany(ClaimNext, kw_only=True):
    """The same as a body, for up to `limit` tasks."""

    limit: Limit = 1


class Answer(Request, kw_only=True):
    """The answer to a parked task's question."""

    answer: Annotated[str, Meta(min_length=1, max_length=100_000)]


class Reason(Request, kw_only=True):
    """Why a task is cancelled or rejected."""

    reason: Text | None = None


class TaskFilter(Request, kw_only=True):
    """Which tasks; what is left out does not restrict. `waits_for`: those that a task, by its id, keeps from being done.

    `needs_person`: parked ones that go on when somebody answers, approves or rejects.
    """

    status: Annotated[list[Status], Several] | None = None
    priority: Annotated[list[Priority], Several] | None = None
    kind: Annotated[list[Kind], Several] | None = None
    tag: Tags | None = None
    work_path: Paths | None = None
    recursive: bool = False
    agent: Name | None = None
    worker_id: Name | None = None
    schedule_id: Id | None = None
    workflow_id: Name | None = None
    run_id: Id | None = None
    q: Annotated[str, Meta(max_length=500)] | None = None
    created_after: When | None = None
    created_before: When | None = None
    waits_for: Id | None = None
    needs_person: bool = False


class ListTasks(TaskFilter, kw_only=True):
    """A page of tasks, newest first.

    `excerpt`: for lists that are looked at. Prompt, description, answer and error are cut after so many characters; spec,
    environment, resource limits, metadata, checkpoint and result are left out.
    """

    limit: Limit = 50
    offset: Offset = 0
    cursor: Name | None = None
    excerpt: Annotated[int, Meta(ge=1, le=10_000)] | None = None


class WaitFor(Request, kw_only=True):
    """How long to hold the call."""

    wait: WaitSeconds = 0


class Parked(Struct, kw_only=True):
    """What a parked task waits for."""

    reason: ParkReason
    until: datetime | None = None
    question: str | None = None
    options: list[str] = []
    account: str | None = None
    message: str | None = None


class TaskBudget(Struct, kw_only=True):
    """What a task may use over all its attempts: its `spec.budget`, and what approvals granted on top."""

    tokens: int | None
    cost_usd: float | None


class Task(Struct, kw_only=True):
    """A task as it stands."""

    id: int
    version: int
    status: Status
    work_directory: str
    host: str
    kind: str
    title: str | None
    prompt: str | None
    description: str | None
    priority: Priority
    tags: list[str]
    spec: Json
    environment: dict[str, str]
    resource_limits: JsonObject
    metadata: JsonObject
    exclusive: bool
    requires_approval: bool
    depends_on: list[int]
    key: str | None
    max_attempts: int
    timeout_seconds: float
    backoff: Backoff | None
    attempt: int
    lease_no: int
    worker_id: str | None
    lease_expires_at: datetime | None
    run_at: datetime | None
    due_at: datetime | None
    ready_at: datetime | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    reason: str | None
    parked: Parked | None
    answer: str | None
    progress: Progress | None
    checkpoint: Json
    session_id: str | None
    result: Json
    error: TaskError | None
    usage: Usage | None
    source: str
    schedule_id: int | None
    workflow_id: str | None
    run_id: int | None
    step_id: str | None
    agent: str | None = None
    budget: TaskBudget | None = None
    question: str | None = None


class CreatedTask(Task, kw_only=True):
    """A task; `created` is false when its key had created it before."""

    created: bool


class ClaimedTask(Task, kw_only=True):
    """A task and the right to work on it; `traceparent`: the trace (W3C) that the work belongs to."""

    lease: str
    delivery_no: int
    traceparent: str | None = None


class CreatedTasks(Struct, kw_only=True):
    """The tasks of a batch, in its order."""

    tasks: list[CreatedTask]


class ClaimedTasks(Struct, kw_only=True):
    """What a claim of many got; `drain`: the worker was told to ask for nothing more."""

    tasks: list[ClaimedTask]
    drain: bool = False


class HeartbeatAnswer(Struct, kw_only=True):
    """What to do and why, until when the lease lasts, and whether the worker was told to drain."""

    directive: Directive
    lease_expires_at: datetime
    reason: str | None = None
    drain: bool = False


class Counted(Struct, kw_only=True):
    """How many tasks a bulk call changed."""

    count: int


class TaskState(Struct, kw_only=True):
    """The status of a task."""

    id: int
    status: Status
    version: int
    attempt: int
    progress: Progress | None
    finished_at: datetime | None


class Obstacle(Struct, kw_only=True):
    """One thing in a task's way: a code, a sentence, facts."""

    code: str
    message: str
    task_id: int | None = None
    until: datetime | None = None


class Why(Struct, kw_only=True):
    """Why a task does not run; empty `obstacles` with status waiting: the next asker gets it."""

    id: int
    status: Status
    summary: str
    obstacles: list[Obstacle]
