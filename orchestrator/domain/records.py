"""Rows of what creates work by itself: schedules, workflows, runs, triggers. A Struct per table, its fields the columns.

Times are in ms (UTC), JSON is text. `scope`, `paths`, `secrets`: of the credential that defined it, as its tasks are created with
no more rights than that had; `paths` None: everywhere, `secrets` None: all. `managed_by`: the files that keep a definition.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from orchestrator.domain.notification_records import Notification, NotificationRule
from orchestrator.domain.record import Record
from orchestrator.domain.task import Millis


class Schedule(Record, frozen=True, kw_only=True):
    """When, and what work: JSON of the contract's `task`, `tasks`, `workflow` or `command`.

    `due_at`: the nominal time of the next fire, in wall time, `fire_at`: with jitter; None: there is none. `failures`: of the
    last fires in a row, since `counted_from`. `workflow_id`: whose deployment it belongs to, `place`: of which of its triggers.
    """

    TABLE = "schedules"

    id: int
    version: int
    scope: str
    name: str
    paths: str | None
    secrets: str | None
    owner: str
    description: str | None
    cron: str
    timezone: str
    work: str
    enabled: bool
    paused_reason: str | None
    jitter_ms: int
    starts_at: Millis | None
    ends_at: Millis | None
    max_runs: int | None
    overlap: str
    missed: str
    missed_window_ms: int
    pause_after_failures: int | None
    failures: int
    runs: int
    due_at: Millis | None
    fire_at: Millis | None
    last_due_at: Millis | None
    last_fire_at: Millis | None
    counted_from: Millis = 0
    workflow_id: str | None
    place: int | None
    managed_by: str | None
    created_at: Millis
    updated_at: Millis


class Fire(Record, frozen=True, kw_only=True):
    """What became of a due time, or of `times` of them, the last one `due_at`. `task_ids`: JSON."""

    TABLE = "fires"

    id: int
    version: int
    schedule_id: int
    kind: str
    due_at: Millis
    decided_at: Millis
    outcome: str
    reason: str | None
    times: int
    task_ids: str
    run_id: int | None


class Workflow(Record, frozen=True, kw_only=True):
    """A workflow: what its versions have in common, and which of them is deployed. `latest`: the number of its last version."""

    TABLE = "workflows"

    id: str
    version: int
    scope: str
    name: str
    paths: str | None
    secrets: str | None
    owner: str
    latest: int
    deployed: int | None
    deployed_at: Millis | None
    managed_by: str | None
    created_at: Millis
    updated_at: Millis


class WorkflowVersion(Record, frozen=True, kw_only=True):
    """A definition, which never changes: JSON of the contract's `steps`, `triggers`, `input`, `description`, `timeout_seconds`.

    `paths`, `secrets`: of who saved this version.
    """

    TABLE = "workflow_versions"
    KEY = ("workflow_id", "number")

    workflow_id: str
    number: int
    definition: str
    paths: str | None
    secrets: str | None
    owner: str
    created_at: Millis


class Run(Record, frozen=True, kw_only=True):
    """One execution of version `number` of a workflow. `input`, `trigger`: JSON, what templates see."""

    TABLE = "runs"

    id: int
    version: int
    workflow_id: str
    workflow_name: str
    number: int
    status: str
    paths: str | None
    input: str
    trigger: str
    source: str
    schedule_id: int | None
    reason: str | None
    traceparent: str | None
    deadline_at: Millis | None
    created_at: Millis
    updated_at: Millis
    finished_at: Millis | None


class RunStep(Record, frozen=True, kw_only=True):
    """A step of a run that something was done about; `tasks`: JSON list of their ids by item, `take`: how often it began anew."""

    TABLE = "run_steps"
    KEY = ("run_id", "step_id")

    run_id: int
    step_id: str
    version: int
    status: str
    take: int
    tasks: str
    reason: str | None
    started_at: Millis | None
    finished_at: Millis | None


class Delivery(Record, frozen=True, kw_only=True):
    """What became of something that reached a trigger. `key`: it is taken once per trigger; `facts`: JSON, nothing secret.

    `times`: how many the row stands for, the last of them `at`. While it is `fetching`, `pending` is what a run is to begin with
    (JSON of a `Pending`), `due_at` when GitHub is asked next, `tries` how often that was in vain.
    """

    TABLE = "deliveries"

    id: int
    version: int
    workflow_id: str
    place: int
    type: str
    key: str | None
    at: Millis
    outcome: str
    reason: str | None
    run_id: int | None
    facts: str
    duration_ms: int
    times: int = 1
    pending: str | None = None
    due_at: Millis | None = None
    tries: int = 0


class TriggerState(Record, frozen=True, kw_only=True):
    """What a deployed trigger remembers, as JSON of its type; `holder`: the server that serves it alone, until `held_until`."""

    TABLE = "trigger_states"
    KEY = ("workflow_id", "place")

    workflow_id: str
    place: int
    version: int
    type: str
    state: str
    holder: str | None
    held_until: Millis | None
    failing: str | None
    updated_at: Millis


class Consumer(Record, frozen=True, kw_only=True):
    """How far somebody has read the feed."""

    TABLE = "consumers"
    KEY = ("name",)

    name: str
    version: int
    last_event: int


class Indexing(Record, frozen=True, kw_only=True):
    """How far the index of words is: all that happened up to `last_event` is in it, but for tasks with ids up to `unread`.

    Those are from before there was an index, and are put in bit by bit; 0: all are. There is one row.
    """

    TABLE = "task_index"

    id: int
    version: int
    last_event: int
    unread: int


RECORDS: tuple[type[Record], ...] = (
    Schedule, Fire, Workflow, WorkflowVersion, Run, RunStep, Delivery, TriggerState, Consumer, Indexing,
    NotificationRule, Notification,
)  # fmt: skip
R = TypeVar("R", bound=Record)


class Kept(Struct, frozen=True):
    """A row is new (`fresh`), or now like this."""

    record: Record
    fresh: bool = False


class Dropped(Struct, frozen=True):
    """A row is gone, and what belongs to it."""

    record: Record


class SchedulerSet(Struct, frozen=True):
    """Schedules fire, or none of them does."""

    running: bool


class Under(Struct, frozen=True):
    """What a schedule has under way: a task that belongs to no run, or a run."""

    schedule_id: int | None
    task_id: int | None
    run_id: int | None


class Linked(Struct, frozen=True):
    """An event of the feed about a run, a schedule, or a task of one, and how the task stood then."""

    id: int
    type: str
    task_id: int
    run_id: int | None
    schedule_id: int | None
    status: str | None


class RecordSource(Protocol):
    """Where rows come from; nobody else may change them before the end of the transaction."""

    def record(self, of: type[R], key: tuple[Any, ...]) -> R | None:
        """A row by its key."""
        ...

    def records(self, of: type[R], query: str, params: tuple[Any, ...]) -> list[R]:
        """The rows of a named query."""
        ...

    def record_id(self, of: type[Record]) -> int:
        """The id of a row to be."""
        ...

    def linked(self, after: int, limit: int) -> list[Linked]:
        """Events after one, in order, that are about tasks of runs or schedules."""
        ...

    def scheduling(self) -> bool:
        """Whether schedules fire at all."""
        ...

    def under_way(self, schedules: Sequence[int]) -> list[Under]:
        """What schedules have created that has not ended; others may be about to end it."""
        ...

    def run_statuses(self, ids: Iterable[int]) -> dict[int, str]:
        """How runs stand, those that there still are; others may be about to change that."""
        ...


class Records:
    """Rows loaded on demand, with what the operations before changed laid over them."""

    def __init__(self, source: RecordSource) -> None:
        self._source = source
        self._known: dict[type[Record], dict[tuple[Any, ...], Record | None]] = {}

    def get(self, of: type[R], *key: Any) -> R | None:
        """A row by its key."""
        known = self._known.setdefault(of, {})
        if key not in known:
            known[key] = self._source.record(of, key)
        return known[key]  # type: ignore[return-value]

    def find(self, of: type[R], query: str, *params: Any, such: Callable[[R], bool]) -> list[R]:
        """The rows of a named query (store/sql), as they are now; `such` says in Python what its WHERE says.

        Those that this batch has made or changed come first or last, wherever the query would have them: sort them again.
        """
        known = self._known.setdefault(of, {})
        for row in self._source.records(of, query, params):
            known.setdefault(row.identity, row)
        return [row for row in known.values() if row is not None and such(row)]  # type: ignore[arg-type, misc]

    def known(self, of: type[R]) -> dict[tuple[Any, ...], R | None]:
        """The rows of a kind that have been loaded or changed, by their keys; None: gone."""
        return self._known.get(of, {})  # type: ignore[return-value]

    def new_id(self, of: type[Record]) -> int:
        """The id of a row to be."""
        return self._source.record_id(of)

    def linked(self, after: int, limit: int) -> list[Linked]:
        """Events after one, in order, that are about tasks of runs or schedules."""
        return self._source.linked(after, limit)

    def save(self, change: Kept | Dropped) -> None:
        """Lay a change over what was loaded."""
        record = change.record
        self._known.setdefault(type(record), {})[record.identity] = record if isinstance(change, Kept) else None
