"""A task as the rules see it: a narrow head without prompt and result, which live in tables of their own."""

from msgspec import Struct
from msgspec.structs import replace

from worker_client.contract.enums import Status
from worker_client.errors import OrchestratorError

Millis = int
"""UTC, milliseconds since 1970."""


class LeaseMode:
    """What a lease does to its directory."""

    NONE = 0
    SHARED = 1
    EXCLUSIVE = 2


class Head(Struct, frozen=True, gc=False):
    """The row of `tasks`: everything that a rule may ask about. Times in ms; the order of fields is that of the columns.

    Up to `secrets` the fields change by PUT alone or never; from `version` on they change with every step. `secrets`: the names
    of those that its inputs ask for, with spaces between them. `agent`: the one that it is for (empty: any), which also the
    first session of an agent decides.
    """

    id: int
    host: str
    path: str
    kind: str
    priority: int
    tags: tuple[str, ...]
    exclusive: bool
    title: str | None
    run_at: Millis | None
    max_attempts: int
    timeout_ms: int
    backoff: str | None
    has_parents: bool
    created_at: Millis
    source: str
    schedule_id: int | None
    workflow_id: str | None
    run_id: int | None
    step_id: str | None
    traceparent: str | None
    secrets: str
    agent: str
    version: int
    status: Status
    rank: int
    ready_at: Millis
    due_at: Millis | None
    hold: str | None
    hold_until: Millis | None
    attempt: int
    releases: int
    lease_no: int
    nonce: str | None
    lease_mode: int
    lease_host: str | None
    lease_ms: int
    lease_ends_at: Millis | None
    lease_deadline: Millis | None
    confirm_by: Millis | None
    expire_at: Millis | None
    used: bool
    worker_id: str | None
    account: str | None
    claimed_by: str | None
    poll_key: str | None
    poll_hash: str | None
    delivery_no: int
    ended_by: str | None
    cancel_requested_at: Millis | None
    reason: str | None
    updated_at: Millis
    started_at: Millis | None
    finished_at: Millis | None
    budget: str | None


class Inputs(Struct, frozen=True, gc=False):
    """The row of `task_inputs`: what the worker is given; JSON as text."""

    prompt: str | None
    description: str | None = None
    spec: str | None = None
    environment: str = "{}"
    resource_limits: str = "{}"
    metadata: str = "{}"
    depends_on: str = "[]"
    key: str | None = None
    requires_approval: bool = False


class Outputs(Struct, frozen=True, gc=False):
    """The row of `task_outputs`, or a change of it: JSON as text, None leaves a column as it is, "null" empties it."""

    progress: str | None = None
    checkpoint: str | None = None
    session_id: str | None = None
    result: str | None = None
    error: str | None = None
    usage_now: str | None = None
    usage_before: str | None = None
    question: str | None = None
    options: str | None = None
    answer: str | None = None


def merged(before: Outputs | None, change: Outputs) -> Outputs:
    """Outputs with a change laid over them."""
    if before is None:
        return change
    later = {name: new for name in Outputs.__struct_fields__ if (new := getattr(change, name)) is not None}
    return replace(before, **later)


class TaskView(Struct, frozen=True, gc=False):
    """A whole task: its head, what went in, what came out."""

    head: Head
    inputs: Inputs
    outputs: Outputs


class NewTask(Struct, frozen=True, kw_only=True):
    """A validated task to be created: canonical path, defaults filled in, times in ms; `delay_ms` counts from the commit.

    `unusable`: why it cannot be created anew; its key may stand for one all the same.
    """

    path: str
    host: str = ""
    kind: str = "agent"
    title: str | None = None
    priority: int = 1
    tags: tuple[str, ...] = ()
    exclusive: bool = False
    run_at: Millis | None = None
    delay_ms: int | None = None
    max_attempts: int = 4
    timeout_ms: int = 3_600_000
    backoff: str | None = None
    depends_on: tuple[int, ...] = ()
    key: str | None = None
    key_hash: str | None = None
    requires_approval: bool = False
    secrets: str = ""
    agent: str = ""
    budget: str | None = None
    inputs: Inputs
    source: str = "api"
    schedule_id: int | None = None
    workflow_id: str | None = None
    run_id: int | None = None
    step_id: str | None = None
    unusable: OrchestratorError | None = None


class DirectorySetting(Struct, frozen=True, kw_only=True):
    """What was set for a directory and everything below it, on one host or (empty) on all.

    `daily_*`: budgets per day (UTC), a cost in millionths of a dollar; `reached_day`: the day since 1970 on which one was last
    used up.
    """

    host: str
    path: str
    paused: bool
    reason: str | None
    max_running: int | None
    updated_at: Millis
    daily_tokens: int | None = None
    daily_micros: int | None = None
    daily_attempts: int | None = None
    reached_day: int | None = None


class Lease(Struct, frozen=True):
    """The right to work on a task: its text form is opaque to clients."""

    task_id: int
    lease_no: int
    nonce: str

    def __str__(self) -> str:
        return f"{self.task_id}.{self.lease_no}.{self.nonce}"

    @classmethod
    def parse(cls, text: str) -> "Lease | None":
        """The lease that a text stands for, or None when it is none."""
        task_id, _, rest = text.partition(".")
        lease_no, _, nonce = rest.partition(".")
        if not (text.isascii() and task_id.isdecimal() and lease_no.isdecimal() and nonce) or len(text) > 80:
            return None
        return cls(int(task_id), int(lease_no), nonce)
