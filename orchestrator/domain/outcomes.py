"""What comes of an operation: an answer, the rows to save, the operations that follow, the polls to wake."""

from collections.abc import Mapping

from msgspec import Struct

from orchestrator.domain.credential import Credential, Entry
from orchestrator.domain.holders import Account, Drain
from orchestrator.domain.operations import LogLine, Operation, Use
from orchestrator.domain.records import Delivery, Dropped, Kept, Run, SchedulerSet, Workflow
from orchestrator.domain.task import DirectorySetting, Head, Inputs, Millis, Outputs, TaskView
from worker_client.contract.enums import AttemptOutcome, Directive
from worker_client.errors import OrchestratorError

# Answers. The store fills `views` in after the rows are saved, within the same transaction.


class Outcome(Struct):
    """Base of the answers."""

    @property
    def shows(self) -> list[int]:
        """Ids of the tasks that the answer shows whole."""
        return []


class Done(Outcome):
    """It is done, and there is nothing to show; `count` rows were concerned."""

    count: int = 0
    more: bool = False


class Changed(Outcome):
    """The task as it is now."""

    task_id: int
    view: TaskView | None = None

    @property
    def shows(self) -> list[int]:
        """The task."""
        return [self.task_id]


class Created(Outcome):
    """Ids in the order asked for, with whether each is new or was found by its key."""

    tasks: list[tuple[int, bool]]
    views: dict[int, TaskView] = {}

    @property
    def shows(self) -> list[int]:
        """All of them."""
        return [task_id for task_id, _ in self.tasks]


class Grant(Struct, frozen=True):
    """One leased task."""

    task_id: int
    lease: str
    delivery_no: int


class Claimed(Outcome):
    """What was leased; `quota`: nothing, as its account's is used up; `drain`: nothing, as the worker is to ask no more.

    `held_at`: where a lease, a pause or a limit kept the first task back; `leased_at`: where a lease or a reservation did;
    `full`: so many run that nobody gets any.
    """

    grants: list[Grant]
    held_at: str | None = None
    leased_at: str | None = None
    full: bool = False
    quota: bool = False
    drain: bool = False
    views: dict[int, TaskView] = {}

    @property
    def shows(self) -> list[int]:
        """All of them."""
        return [grant.task_id for grant in self.grants]


class Beat(Outcome):
    """What the worker is to do and why, and until when its lease lasts; `drain`: it is to ask for nothing more."""

    directive: Directive
    lease_ends_at: Millis
    lease_ms: int
    reason: str | None = None
    drain: bool = False


class Lifted(Outcome):
    """It is done; `last`: the id of a task after which more may wait to come back."""

    last: int | None


class Logged(Outcome):
    """How many lines were new, and the number of the lease's next one."""

    stored: int
    next_line: int


class Defined(Outcome):
    """The workflow as it is now."""

    workflow: Workflow


class Begun(Outcome):
    """The run that has begun."""

    run: Run


class Received(Outcome):
    """The delivery as it is in the history."""

    delivery: Delivery


class Tended(Outcome):
    """Whether this server reads the mailbox, and what email triggers remember then, JSON by trigger."""

    held: bool
    states: Mapping[tuple[str, int], str]


class Keyed(Outcome):
    """The key as it is now."""

    credential: Credential


# Changes. The world applies them so that the next operation sees them, the store saves them.


class Saved(Struct, frozen=True):
    """A task has a new head (its version is one higher)."""

    head: Head


class Edited(Struct, frozen=True):
    """A task has a new head in which also fields changed that only PUT changes, and perhaps new inputs."""

    head: Head
    inputs: dict[str, str | None]


class Inserted(Struct, frozen=True):
    """A new task, with its parents: id -> whether satisfied."""

    head: Head
    inputs: Inputs
    parents: dict[int, bool]


class Removed(Struct, frozen=True):
    """A task is gone."""

    head: Head


class Written(Struct, frozen=True):
    """Outputs of a task change; None stays, "null" empties."""

    task_id: int
    outputs: Outputs


class EdgeSatisfied(Struct, frozen=True):
    """A dependency is fulfilled, for good."""

    child: int
    parent: int


class KeyTaken(Struct, frozen=True):
    """An idempotency key stands for a task."""

    scope: str
    key: str
    task_id: int
    digest: str


class AttemptEnded(Struct, frozen=True):
    """One lease that ran is over."""

    head: Head
    outcome: AttemptOutcome
    ended_at: Millis
    error: str | None = None
    usage: str | None = None
    session_id: str | None = None
    reason: str | None = None
    evidence: str | None = None


class Happened(Struct, frozen=True):
    """One row of the feed; `data` is JSON."""

    type: str
    head: Head
    data: str = "{}"


class LogsAppended(Struct, frozen=True):
    """Lines of a lease from `first_number` (of the task) and `first_line` (of the lease) on."""

    task_id: int
    lease_no: int
    first_number: int
    first_line: int
    lines: tuple[LogLine, ...]


class LogsTrimmed(Struct, frozen=True):
    """Of the output of a task the lines up to a number are left."""

    task_id: int
    last: int


class Forgotten(Struct, frozen=True):
    """Up to `limit` of each: events before `before`, keys whose task ended before `keys_before`, rollups before `rollups_before`.

    The ledger of usage goes before `usage_before`.

    `last`: there is no more of them, so that it is time for what has to be looked for in the whole of a small table.
    """

    before: Millis
    keys_before: Millis
    rollups_before: Millis
    usage_before: Millis
    limit: int
    last: bool = False


class UsageCounted(Struct, frozen=True):
    """A lease used more than was known when its task was at `version`; `attempts`: 1 when that was one, and is over.

    `tags`: those of the task that it is counted for.
    """

    task_id: int
    version: int
    path: str
    host: str
    model: str
    agent: str
    attempts: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    micros: int
    duration_ms: int
    tags: tuple[str, ...] = ()


class BudgetReached(Struct, frozen=True):
    """A day's budget of a directory is used up since this day; None: no longer."""

    path: str
    host: str
    day: int | None


class DirectorySet(Struct, frozen=True):
    """The settings of a directory are now these."""

    setting: DirectorySetting


class Noted(Struct, frozen=True):
    """One row of the feed that is about no task: a directory, a run, a schedule, or with no path the server; `data` is JSON."""

    type: str
    data: str
    path: str = ""
    host: str = ""
    run_id: int | None = None
    schedule_id: int | None = None


class CredentialSaved(Struct, frozen=True):
    """A key is new (`fresh`), or now like this."""

    credential: Credential
    fresh: bool


class KeysUsed(Struct, frozen=True):
    """Keys were used."""

    uses: tuple[Use, ...]


class AddressListed(Struct, frozen=True):
    """An address is on a list, or no longer."""

    entry: Entry
    listed: bool


class AccountSaved(Struct, frozen=True):
    """An account is new (`fresh`), or now like this."""

    account: Account
    fresh: bool


class DrainSaved(Struct, frozen=True):
    """A worker is to drain, or no longer."""

    drain: Drain
    drained: bool


class Indexed(Struct, frozen=True):
    """The words of a task, if it is still there."""

    task_id: int
    words: str


Change = (
    Saved | Edited | Inserted | Removed | Written | EdgeSatisfied | KeyTaken
    | AttemptEnded | Happened | LogsAppended | LogsTrimmed | Forgotten | DirectorySet
    | UsageCounted | BudgetReached | Noted | CredentialSaved | KeysUsed | AddressListed | AccountSaved | DrainSaved
    | Kept | Dropped | SchedulerSet | Indexed
)  # fmt: skip


# Wakes. Causes for which a parked poll may now find something.


class Ready(Struct, frozen=True):
    """A task became claimable, or changed while it is."""

    task_id: int
    path: str
    host: str
    kind: str
    tags: tuple[str, ...]
    agent: str = ""


class Freed(Struct, frozen=True):
    """Something that kept tasks back around a directory is gone: a lease, a pause, a limit. None: everywhere."""

    path: str | None


class Resumed(Struct, frozen=True):
    """The quota of an account has come back, as those of a path scope know it."""

    scope: str
    account: str


class Drained(Struct, frozen=True):
    """A worker is to ask no more, when its credential sees no more than the patterns `paths` (None: everywhere)."""

    worker_id: str
    paths: tuple[str, ...] | None


Wake = Ready | Freed | Resumed | Drained


class Decision(Struct):
    """All that follows from one operation."""

    outcome: Outcome | OrchestratorError
    changes: list[Change] = []
    then: list[Operation] = []
    wakes: list[Wake] = []
