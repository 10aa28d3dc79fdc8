"""Everything that can be asked of the queue. An operation is data; `decide` says what it does."""

from hashlib import sha256

from msgspec import UNSET, Struct, UnsetType, field

from orchestrator.domain.door_operations import (
    ChangeKey,
    IssueKey,
    Note,
    OpenSession,
    RevokeKey,
    SetAddress,
    Use,
    UseKeys,
)
from orchestrator.domain.hold_operations import DrainWorker, SetAccount
from orchestrator.domain.operation import Operation, Phase
from orchestrator.domain.principal import Principal
from orchestrator.domain.task import Millis, NewTask, Outputs
from worker_client.contract.enums import LogStream, Scope

__all__ = [
    "Answer", "AppendLogs", "Approve", "Cancel", "ChangeKey", "Claim", "Complete", "Delete", "DrainWorker", "Enqueue", "Execute",
    "Expire", "Fail", "Heartbeat", "Interest", "IssueKey", "Leased", "LogLine", "Note", "OnTask", "OpenSession",
    "Operation", "Orphan", "Park", "Phase", "Promote", "Prune", "Rehearse", "Reject", "Release", "Retry", "Revive", "RevokeKey",
    "Satisfy", "SetAccount", "SetAddress", "SetDirectory", "Shift", "Submission", "Tick", "Undeliver", "Update", "Use", "UseKeys",
]  # fmt: skip


class Rehearse(Operation, frozen=True, kw_only=True):
    """Find out what an operation would be refused with; nothing is changed."""

    phase = Phase.CHANGE
    op: Operation


class OnTask(Operation, frozen=True, kw_only=True):
    """An operation on one task."""

    needs = Scope.SUBMIT
    task_id: int

    @property
    def touches(self) -> tuple[int, ...]:
        """The task."""
        return (self.task_id,)


class Leased(OnTask, frozen=True, kw_only=True):
    """An operation of whoever holds the lease, in its text form."""

    needs = Scope.WORK
    lease: str


class Heartbeat(Leased, frozen=True, kw_only=True):
    """Extend the lease; carry what is new. `agent`: whose session it is (empty: it is not said)."""

    phase = Phase.EXTEND
    outputs: Outputs | None = None
    agent: str = ""


class LogLine(Struct, frozen=True):
    """One line of output; `at` None means now."""

    text: str
    stream: LogStream
    at: Millis | None


class AppendLogs(Leased, frozen=True, kw_only=True):
    """Store lines; `first_line` numbers them within the lease, lines already stored are ignored."""

    phase = Phase.EXTEND
    lines: tuple[LogLine, ...]
    first_line: int | None = None

    @property
    def weight(self) -> int:
        """One row a line."""
        return len(self.lines)


class Complete(OnTask, frozen=True, kw_only=True):
    """End a task well; without a lease the prompt as delivered stands in for it."""

    phase = Phase.END
    needs = Scope.WORK
    ends = True
    lease: str | None = None
    original_prompt: str | None = None
    result: str = "null"
    usage: str | None = None
    evidence: str | None = None


class Fail(Leased, frozen=True, kw_only=True):
    """End an attempt badly."""

    phase = Phase.END
    ends = True
    error: str
    message: str = ""
    retryable: bool = True
    retry_after_ms: int | None = None
    usage: str | None = None
    evidence: str | None = None


class Release(Leased, frozen=True, kw_only=True):
    """Give a task back unfinished."""

    phase = Phase.END
    ends = True
    reason: str | None = None
    not_before: Millis | None = None
    usage: str | None = None
    evidence: str | None = None


class Park(Leased, frozen=True, kw_only=True):
    """Give a task back until something outside happens; `message` says why in words, `agent` whose session it is."""

    phase = Phase.END
    ends = True
    hold: str
    not_before: Millis | None = None
    account: str | None = None
    agent: str = ""
    outputs: Outputs | None = None
    usage: str | None = None
    message: str | None = None
    evidence: str | None = None


class Undeliver(OnTask, frozen=True, kw_only=True):
    """Take back what a client that has gone was given; a later delivery of the same claim is left alone."""

    phase = Phase.END
    needs = Scope.WORK
    ends = True
    lease: str
    delivery_no: int


class Cancel(OnTask, frozen=True, kw_only=True):
    """End a task that does not run; ask the worker of one that does to stop."""

    phase = Phase.CHANGE
    ends = True
    reason: str | None = None


class Retry(OnTask, frozen=True, kw_only=True):
    """Begin again with all attempts."""

    phase = Phase.CHANGE
    ends = True


class Execute(OnTask, frozen=True, kw_only=True):
    """Make due now; put a waiting task first in its directory."""

    phase = Phase.CHANGE


class Answer(OnTask, frozen=True, kw_only=True):
    """Answer the question that a task is parked with."""

    phase = Phase.CHANGE
    answer: str


class Approve(OnTask, frozen=True, kw_only=True):
    """Let a task run that waits for an approval: not for those who only put tasks in, which may be agents."""

    phase = Phase.CHANGE
    needs = Scope.ADMIN


class Reject(OnTask, frozen=True, kw_only=True):
    """Cancel a task that waits for an approval."""

    phase = Phase.CHANGE
    needs = Scope.ADMIN
    ends = True
    reason: str | None = None


class Update(OnTask, frozen=True, kw_only=True):
    """Change what may change; UNSET stays. `inputs` holds only changed columns; `budget`: tokens and millionths of a dollar."""

    phase = Phase.CHANGE
    version: int | None = None
    path: str | UnsetType = UNSET
    host: str | UnsetType = UNSET
    title: str | UnsetType | None = UNSET
    priority: int | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    exclusive: bool | UnsetType = UNSET
    run_at: Millis | UnsetType | None = UNSET
    max_attempts: int | UnsetType = UNSET
    timeout_ms: int | UnsetType = UNSET
    backoff: str | UnsetType | None = UNSET
    secrets: str | UnsetType = UNSET
    agent: str | UnsetType = UNSET
    budget: tuple[int | None, int | None] | UnsetType | None = UNSET
    inputs: dict[str, str | None] = field(default_factory=dict)


class Delete(OnTask, frozen=True, kw_only=True):
    """Remove a task that does not run, with its attempts and logs."""

    phase = Phase.CHANGE
    ends = True


class SetDirectory(Operation, frozen=True, kw_only=True):
    """Pause, resume or limit a directory and everything below it."""

    phase = Phase.CHANGE
    path: str
    host: str = ""
    paused: bool | UnsetType = UNSET
    reason: str | UnsetType | None = UNSET
    max_running: int | UnsetType | None = UNSET
    daily_tokens: int | UnsetType | None = UNSET
    daily_micros: int | UnsetType | None = UNSET
    daily_attempts: int | UnsetType | None = UNSET


class Satisfy(OnTask, frozen=True, kw_only=True):
    """A parent completed (cascade): its dependents have one open parent less."""

    phase = Phase.END


class Orphan(OnTask, frozen=True, kw_only=True):
    """A parent failed, was cancelled or deleted (cascade): its dependents are cancelled."""

    phase = Phase.END


class Revive(OnTask, frozen=True, kw_only=True):
    """A parent is retried (cascade): dependents cancelled for its sake come back if their other parents allow it."""

    phase = Phase.CHANGE


class Shift(Operation, frozen=True, kw_only=True):
    """Move the end of all live leases by a time in which the server could not commit, before anything else looks at them."""

    phase = Phase.SHIFT
    by_ms: int


class Recall(Operation, frozen=True, kw_only=True):
    """End all leases, without an attempt being used up: the database was restored, and who holds them was told more since."""

    phase = Phase.SHIFT


class Tick(Operation, frozen=True, kw_only=True):
    """Record that the server is alive, so that a later start knows how long it was not."""

    phase = Phase.TIME


class Expire(Operation, frozen=True, kw_only=True):
    """End leases whose time is over, up to `limit`."""

    phase = Phase.TIME
    limit: int = 500

    @property
    def weight(self) -> int:
        """Up to `limit` rows."""
        return self.limit


class Promote(Operation, frozen=True, kw_only=True):
    """Make tasks claimable whose due time has come, up to `limit`."""

    phase = Phase.TIME
    limit: int = 500

    @property
    def weight(self) -> int:
        """Up to `limit` rows."""
        return self.limit


class Prune(Operation, frozen=True, kw_only=True):
    """Remove up to `limit` tasks that ended before `before`, and what else is past its time.

    `rows`: as many lines of their output, events, rollups, and keys whose task ended long ago.
    """

    phase = Phase.TIME
    before: Millis
    keys_before: Millis
    limit: int = 100
    rows: int = 1_000

    @property
    def weight(self) -> int:
        """Up to `limit` tasks with their rows."""
        return self.limit


class Enqueue(Operation, frozen=True, kw_only=True):
    """Create tasks, all or none; `many`: they came as a list, so that errors name the place in it.

    `key_scope`: their keys are new, and unique within this instead of the directories of who creates them.
    """

    phase = Phase.ENQUEUE
    needs = Scope.SUBMIT
    sheds = True
    tasks: tuple[NewTask, ...]
    many: bool = False
    key_scope: str | None = None

    @property
    def parents(self) -> tuple[int, ...]:
        """Ids of the tasks that the new ones wait for."""
        return tuple(parent for task in self.tasks for parent in task.depends_on)

    @property
    def weight(self) -> int:
        """One row a task."""
        return len(self.tasks)


class Interest(Struct, frozen=True, cache_hash=True):
    """What an asker takes: polls with equal interest can stand in for each other. `agent`: its tasks and those for any."""

    paths: tuple[str, ...]
    recursive: bool
    kinds: tuple[str, ...]
    tags: frozenset[str]
    host: str
    exclusive: bool
    principal: Principal
    agent: str = ""

    def takes(self, kind: str, host: str, agent: str) -> bool:
        """Whether tasks of a kind, for a host and an agent (empty: any) are among them, as far as these tell."""
        return (
            (not self.kinds or kind in self.kinds) and host in {"", self.host} and (not self.agent or agent in {"", self.agent})
        )


class Claim(Operation, frozen=True, kw_only=True):
    """Lease up to `limit` tasks. `since`: when the asker first asked (ms), which orders reservations."""

    phase = Phase.CLAIM
    needs = Scope.WORK
    sheds = True
    interest: Interest
    worker_id: str
    lease_ms: int
    limit: int = 1
    account: str | None = None
    poll_id: str | None = None
    confirm_ms: int | None = None
    since: Millis | None = None

    @property
    def weight(self) -> int:
        """One row a task asked for."""
        return self.limit

    @property
    def fingerprint(self) -> str:
        """Equal for repetitions of one poll, different when its parameters differ; each task that it gets keeps it."""
        wanted = self.interest
        asked = repr((
            wanted.paths, wanted.recursive, wanted.kinds, sorted(wanted.tags), wanted.host, wanted.exclusive, wanted.agent,
            self.lease_ms, self.limit, self.account, self.confirm_ms,
        ))  # fmt: skip
        return sha256(asked.encode()).hexdigest()


class Submission(Struct, frozen=True):
    """An operation, who asks for it and from which address; `trace` is the W3C traceparent of the request."""

    op: Operation
    by: Principal
    trace: str | None = None
    origin: str = ""
