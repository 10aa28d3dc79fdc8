"""Workflows: graphs of task templates, their deployments, and their runs."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from worker_client.contract.enums import RunIf, RunStatus, StepStatus
from worker_client.contract.fields import Id, Json, JsonObject, Name, Text, TimeoutSeconds
from worker_client.contract.request import Paged, Request
from worker_client.contract.tasks import Attempts, Backoff

StepId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$(?!\n)",
        description="a name as templates write it: a letter or `_`, then letters, digits or `_`; up to 100 in all",
    ),
]
VersionNumber = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Template = Annotated[str, Meta(min_length=1, max_length=10_000)]


class Retry(Request, kw_only=True):
    """How often a step's tasks are attempted, and the pauses between; what is left out is as for any task."""

    max_attempts: Attempts | None = None
    backoff: Backoff | None = None


class Step(Request, kw_only=True):
    """A task template in the graph; its strings are templates over `input`, `trigger`, `run`, `steps.<id>.result` and `item`.

    `for_each`: a list, or a template of one: a task for each `item`. `when`: an expression; false skips the step. `run_if`: what
    became of the steps that it depends on: all of them completed or skipped, one of them failed, or whatever.
    """

    id: StepId
    task: JsonObject
    depends_on: Annotated[list[StepId], Meta(max_length=1000)] = []
    when: Template | None = None
    for_each: Template | Annotated[list[Json], Meta(max_length=1000)] | None = None
    run_if: RunIf = RunIf.SUCCESS
    retry: Retry | None = None
    timeout_seconds: TimeoutSeconds | None = None


class CreateWorkflow(Request, kw_only=True):
    """Steps, what starts them once deployed, defaults of the input, and how long a run may take.

    Each of `triggers` has a `type` (cron, manual, webhook, github, email) and the fields of that. `managed_by`: a label of the
    files that it is kept by, for good.
    """

    name: Name
    steps: Annotated[list[Step], Meta(min_length=1, max_length=1000)]
    description: Text | None = None
    triggers: Annotated[list[JsonObject], Meta(max_length=100)] = []
    input: JsonObject = {}
    timeout_seconds: TimeoutSeconds | None = None
    managed_by: Name | None = None


class UpdateWorkflow(Request, kw_only=True):
    """What is left out stays. A new version: runs go on with theirs, a deployment is moved by deploying again."""

    version: VersionNumber | None = None
    name: Name | UnsetType = UNSET
    steps: Annotated[list[Step], Meta(min_length=1, max_length=1000)] | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    triggers: Annotated[list[JsonObject], Meta(max_length=100)] | UnsetType = UNSET
    input: JsonObject | UnsetType = UNSET
    timeout_seconds: TimeoutSeconds | UnsetType | None = UNSET


class RunState(Struct, kw_only=True):
    """Where a run stands."""

    id: int
    status: RunStatus
    created_at: datetime
    finished_at: datetime | None


class Workflow(Struct, kw_only=True):
    """A workflow in its latest version, or the one asked for; `runs`: its last ones, where a list was asked for them."""

    id: str
    version: int
    name: str
    description: str | None
    steps: list[Step]
    triggers: list[JsonObject]
    input: JsonObject
    timeout_seconds: float | None
    deployed_version: int | None
    created_at: datetime
    updated_at: datetime
    created_by: str
    managed_by: str | None = None
    runs: list[RunState] = []


class ListWorkflows(Paged, kw_only=True):
    """A page of workflows, by name; `runs`: with so many of the last runs of each."""

    q: Annotated[str, Meta(max_length=500)] | None = None
    deployed: bool | None = None
    runs: Annotated[int, Meta(ge=0, le=50)] = 0


class WorkflowVersion(Request, kw_only=True):
    """Which version; left out: the latest."""

    version: VersionNumber | None = None


class Execute(Request, kw_only=True):
    """Begin a run now; `version` left out: the latest."""

    input: JsonObject = {}
    version: VersionNumber | None = None


class StepRun(Struct, kw_only=True):
    """A step of a run. `result`: of its task, or the list of those of its items in their order.

    `items`, `done`: how many tasks it fans out to, and how many tasks have ended. `omitted`: the characters of a result that is
    left out, as there are too many in all: the tasks have it.
    """

    status: StepStatus
    task_ids: list[int]
    result: Json
    reason: str | None = None
    items: int | None = None
    done: int = 0
    omitted: int = 0


class Run(Struct, kw_only=True):
    """One execution of a workflow, with the version that it began with."""

    id: int
    workflow_id: str
    workflow_name: str
    version: int
    status: RunStatus
    input: JsonObject
    trigger: JsonObject
    source: str
    schedule_id: int | None
    reason: str | None
    steps: dict[str, StepRun]
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    deadline_at: datetime | None


class ListRuns(Paged, kw_only=True):
    """A page of runs, newest first; their steps have no results."""

    workflow_id: Name | None = None
    status: RunStatus | None = None
    schedule_id: Id | None = None


class Deployment(Struct, kw_only=True):
    """Whether a workflow's triggers are on, and of which version; `triggers`: as in a status of triggers."""

    workflow_id: str
    name: str
    deployed: bool
    version: int | None
    latest_version: int
    deployed_at: datetime | None
    triggers: list[JsonObject]


class Deploy(Request, kw_only=True):
    """Which version; left out: the latest."""

    version: VersionNumber | None = None
