"""One transaction: it loads what the rules ask for, and saves what they decide. Nothing here knows a rule."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from orchestrator.domain.budgets import Spent, day_of
from orchestrator.domain.credential import Credential
from orchestrator.domain.holders import Account, Drain
from orchestrator.domain.needs import Needs
from orchestrator.domain.outcomes import Change, Forgotten
from orchestrator.domain.paths import ancestors, span
from orchestrator.domain.principal import PathScope
from orchestrator.domain.records import Run, Schedule
from orchestrator.domain.source import Place, Settings, Stream
from orchestrator.domain.task import Head, Inputs, Millis, Outputs, TaskView, merged
from orchestrator.store.loading import RecordLoading
from orchestrator.store.memory import Memory
from orchestrator.store.protocol import FeedEvent
from orchestrator.store.rows import (
    INPUT_FIELDS,
    account_of,
    credential_of,
    drain_of,
    head_of,
    inputs_of,
    outputs_of,
    settings_of,
)
from orchestrator.store.saving import Late, Writes, periods_before
from orchestrator.store.session import Session

ALIVE_AT: Final = "alive_at"
AHEAD: Final = "ahead"
"""In `meta` of PostgreSQL: how far ahead of the database's clock the servers' time is, since that was set back."""
_NO_OUTPUTS_YET = 2
"""Up to this version, created and claimed, nothing has written outputs of a task."""


class Transaction(RecordLoading):
    """The domain's Source over a session, and the saving of changes.

    `memory`: what need not be read, where nobody else writes.
    """

    def __init__(  # each of them is the transaction's own
        self, session: Session, queries: Mapping[str, str], now: Millis, wall: Millis, memory: Memory | None = None
    ) -> None:
        super().__init__(session, queries)
        self.now = now
        self.wall = wall
        self._memory = memory or Memory()
        self._loaded: dict[int, Head] = {}
        self._pending: list[tuple[Sequence[Change], str, str]] = []
        self._firsts: dict[Stream, Place] = {}
        self._written: dict[int, Outputs] = {}
        self._late = Late()
        self.saved: dict[int, Head | None] = {}
        """Heads as flushed; None: removed."""
        self.inputs: dict[int, Inputs | None] = {}
        """Inputs of new tasks; None: changed."""
        self.held: list[Millis] = []
        """Until when accounts are held, and when runs have to be over, as flushed."""
        self.fires: list[Millis] = []
        """When schedules are due, in wall time, as flushed."""
        self.wrote = False
        self.jump_ms = 0
        """How far the clock has been set forward since the last transaction."""

    # Loading

    def _heads(self, name: str, *params: Any) -> list[Head]:
        heads = [head_of(row) for row in self._fetch(name, *params)]
        for head in heads:
            self._loaded.setdefault(head.id, head)
        return heads

    def heads(self, ids: Iterable[int]) -> list[Head]:
        """The tasks of these ids that there are."""
        heads: list[Head] = []
        missing: list[int] = []
        for task_id in ids:
            head = self._loaded.get(task_id) or self._memory.heads.get(task_id)
            if head is None:
                missing.append(task_id)
            else:
                heads.append(self._loaded.setdefault(task_id, head))
        return heads + self._heads("heads", self._session.listed(missing)) if missing else heads

    def parents(self, children: Iterable[int]) -> list[tuple[int, int, bool]]:
        """(child, parent, satisfied) of these children."""
        return [(child, parent, bool(done)) for child, parent, done in self._fetch("parents", self._session.listed(children))]

    def open_edges(self, parents: Iterable[int]) -> list[tuple[int, int]]:
        """(parent, child) of the unsatisfied edges of these parents."""
        return [(parent, child) for parent, child in self._fetch("open_edges", self._session.listed(parents))]

    def key(self, scope: str, key: str) -> tuple[int, str] | None:
        """The task and body digest that an idempotency key stands for."""
        rows = self._fetch("key", scope, key)
        return (rows[0][0], rows[0][1]) if rows else None

    def prompt(self, task_id: int) -> str | None:
        """The prompt of a task."""
        rows = self._fetch("prompt", task_id)
        return rows[0][0] if rows else None

    def outputs(self, task_id: int) -> Outputs:
        """The outputs of a task."""
        rows = self._fetch("outputs", task_id)
        return outputs_of(rows[0]) if rows else Outputs()

    def log_position(self, task_id: int, lease_no: int) -> tuple[int, int]:
        """The last stored numbers: of the task's lines, of the lease's."""
        ((number, line),) = self._fetch("log_position", task_id, lease_no)
        return number, line

    def new_id(self) -> int:
        """The id of a task to be."""
        return self._session.task_id()

    def due(self, now: Millis, limit: int) -> list[Head]:
        """Scheduled and parked tasks whose time has come."""
        return self._heads("due", now, limit) + self._heads("held", now, limit)

    def expired(self, now: Millis, limit: int) -> list[Head]:
        """Leases whose time is over."""
        return self._heads("expired", now, limit)

    def running(self) -> list[Head]:
        """All live leases."""
        return self._heads("running")

    def ended(self, before: Millis, limit: int) -> list[Head]:
        """Tasks that ended before a time."""
        return self._heads("ended", before, limit)

    def last_lines(self, ids: Iterable[int]) -> dict[int, int]:
        """The number of the last line of output of tasks."""
        return {task_id: last or 0 for task_id, last in self._fetch("last_lines", self._session.listed(ids))}

    def more_to_forget(self, forgotten: Forgotten) -> bool:
        """Whether there is more than what this takes out."""
        minute, hour = periods_before(forgotten.rollups_before)
        past = (forgotten.before, forgotten.keys_before, minute, hour, forgotten.limit, day_of(forgotten.usage_before))
        return bool(self._fetch("more_to_forget", *past)[0][0])

    def delivered(self, poll_key: str) -> list[Head]:
        """Live leases of one poll."""
        return self._heads("delivered", poll_key)

    def streams(self, path: str, *, recursive: bool) -> dict[Stream, Place]:
        """In which streams tasks wait, and the place of the first one in each."""
        found = dict(self._streams_between(path, path + "\0"))
        if recursive:
            found |= self._streams_between(*span(path))
        self._firsts |= found
        return found

    def _streams_between(self, low: str, high: str) -> Iterator[tuple[Stream, Place]]:
        """One after the other, each found by the index alone, however many tasks wait in it."""
        stream = low, "", "", ""
        while rows := self._fetch("next_stream", *stream, high):
            *before, rank, task_id = rows[0]
            stream = before[0], before[1], before[2], before[3]
            yield stream, (rank, task_id)

    def stream(self, stream: Stream, after: Place | None, limit: int) -> tuple[list[Head], bool]:
        """The waiting tasks of a stream in order, and whether these are the last."""
        if after is None:
            # Often the first is all that is wanted.
            return self.heads([self._firsts[stream][1]]), False
        # Ids from the index alone; the heads are often known.
        rows = self._fetch("stream_after", *stream, *after, limit)
        found = {head.id: head for head in self.heads(task_id for (task_id,) in rows)}
        return [found[task_id] for (task_id,) in rows], len(rows) < limit

    def leased(self, path: str, host: str, *, exclusive_only: bool) -> bool:
        """Whether a lease on, above or below a path is live on the host."""
        name = "leased_exclusive" if exclusive_only else "leased_shared"
        return bool(self._fetch(name, self._session.listed(ancestors(path)), *span(path), host)[0][0])

    def owned(self, path: str, host: str) -> bool:
        """Whether an exclusive lease on or above a path is live on the host."""
        return bool(self._fetch("owned", self._session.listed(ancestors(path)), host)[0][0])

    def running_below(self, path: str | None, host: str) -> int:
        """How many tasks run in a directory and below."""
        rows = self._fetch("running_everywhere") if path is None else self._fetch("running_below", path, *span(path), host)
        return int(rows[0][0])

    def spent(self, day: int, path: str, host: str) -> Spent:
        """What was used in a directory and below on a day."""
        return Spent(*map(int, self._fetch("spent", day, path, *span(path), host)[0]))

    def held_for_the_day(self, path: str, host: str, limit: int) -> list[Head]:
        """Tasks in a directory and below that are parked with reason budget until a time."""
        return self._heads("held_for_the_day", path, *span(path), host, limit)

    def first_rank(self, path: str) -> int | None:
        """The lowest rank that waits in a directory."""
        return min((rank for rank, _ in self.streams(path, recursive=False).values()), default=None)

    def settings(self) -> Settings:
        """The directories that are paused, limited or have a budget."""
        if self._memory.settings is None:
            self._memory.settings = settings_of(self._fetch("settings"))
        return self._memory.settings

    def alive_at(self) -> Millis:
        """When a server last told that it is alive."""
        rows = self._fetch("get_meta", ALIVE_AT)
        return int(rows[0][0]) if rows else 0

    def credential(self, id: str) -> Credential | None:
        """A key by its id."""
        return next(self._credentials("credential", id), None)

    def credentials_named(self, name: str) -> list[Credential]:
        """The keys that have a name and are not revoked."""
        return list(self._credentials("credentials_named", name))

    def sessions(self, parent: str) -> list[Credential]:
        """The sessions of a key that are not revoked."""
        return list(self._credentials("sessions", parent))

    def _credentials(self, name: str, wanted: str) -> Iterator[Credential]:
        return map(credential_of, self._fetch(name, wanted))

    def listed(self, list: str, network: str) -> bool:
        """Whether an address is on a list."""
        return bool(self._fetch("listed", list, network)[0][0])

    def account(self, scope: str, account: str) -> Account | None:
        """An account, as those of a path scope know it."""
        return next(iter(self._accounts("account", scope, account)), None)

    def accounts_named(self, account: str) -> list[Account]:
        """The accounts of a name, of all path scopes."""
        return self._accounts("accounts_named", account)

    def lapsed(self, now: Millis, limit: int) -> list[Account]:
        """Accounts whose quota has come back."""
        return self._accounts("lapsed", now, limit)

    def _accounts(self, name: str, *params: Any) -> list[Account]:
        return [account_of(row) for row in self._fetch(name, *params)]

    def parked_for(self, account: str, after: int, limit: int) -> list[Head]:
        """Tasks with ids above `after` that wait for the quota of an account, by id."""
        return self._heads("parked_for", account, after, limit)

    def running_of(self, worker_id: str) -> list[Head]:
        """The live leases of a worker."""
        return self._heads("running_of", worker_id)

    def drains(self) -> list[Drain]:
        """The workers that were told to drain."""
        return [drain_of(row) for row in self._fetch("drains")]

    def expect(self, needs: Needs) -> None:
        """Get ready for a batch: what is near needs no fetching ahead."""

    def expect_claims(self, needs: Needs) -> None:
        """Get ready for the claims of a batch, what came before them having been flushed."""

    def conclude(self) -> None:
        """All is flushed: ask what has to be known before the commit."""
        self._due = self._ask("next_due")

    def next_due(self) -> tuple[Millis | None, bool, Millis | None]:
        """When the next task or lease is due, whether any lease is live, and when the next schedule is due, in wall time."""
        ((*times, fires),) = self._due()
        return min((at for at in times if at is not None), default=None), times[2] is not None, fires

    def views(self, ids: Iterable[int]) -> dict[int, TaskView]:
        """Whole tasks as flushed; bodies that are known are not read back."""
        wanted = set(ids)
        if unloaded := wanted - self._loaded.keys():
            self.heads(unloaded)
        found = {task_id: view for task_id in wanted if (view := self._known_view(task_id))}
        missing = wanted - found.keys()
        for row in self._fetch("bodies", self._session.listed(missing)) if missing else ():
            outputs = outputs_of(row[1 + len(INPUT_FIELDS) :])
            found[row[0]] = TaskView(self._loaded[row[0]], inputs_of(row[1 : 1 + len(INPUT_FIELDS)]), outputs)
        return found

    def seen(self, ids: Iterable[int], visible: PathScope) -> set[int]:
        """Those of the tasks that lie where somebody sees them."""
        return {task_id for task_id, path in self._fetch("places", self._session.listed(ids)) if visible.covers(path)}

    def _known_view(self, task_id: int) -> TaskView | None:
        """A task whose inputs are in memory, and for which nobody but this transaction can have written outputs."""
        head = self._loaded.get(task_id)
        inputs = self.inputs[task_id] if task_id in self.inputs else self._memory.inputs.get(task_id)
        if head is None or inputs is None:
            return None
        written = self._written.get(task_id)
        if head.version > _NO_OUTPUTS_YET + (written is not None):
            return None
        return TaskView(head, inputs, written or Outputs())

    # Saving

    def take(self, changes: Sequence[Change], actor: str, origin: str = "") -> None:
        """Remember for the next flush what somebody changed, from an address."""
        if changes:
            self._pending.append((changes, actor, origin))

    def flush(self) -> None:
        """Write what was taken; StaleRowError is raised, sooner or later, when a row is not at the version that was loaded."""
        if not self._pending:
            return
        self.wrote = True
        writes = Writes(self._session, self.now, self._late)
        for changes, actor, origin in self._pending:
            writes.add(changes, actor, origin)
        self._pending.clear()
        if writes.settings:
            self._memory.settings = None
        self.inputs.update(writes.run(self._sql, self._loaded, self._records))
        self.inputs.update(dict.fromkeys(writes.edited))
        for task_id, outputs in writes.outputs.items():
            self._written[task_id] = merged(self._written.get(task_id), outputs)
        self.saved.update(writes.heads)
        self.held += writes.held
        for record in writes.records.values():
            if isinstance(record, Schedule) and record.fire_at is not None:
                self.fires.append(record.fire_at)
            elif isinstance(record, Run) and record.deadline_at is not None and record.finished_at is None:
                self.held.append(record.deadline_at)
        self.saved.update(dict.fromkeys(writes.removed))

    def finish(self) -> Callable[[], list[FeedEvent]]:
        """Write what is written last, in the order of all servers; the events of the transaction, for later."""
        for name, params in self._late.forgotten:
            self._ask(name, *params)
        for name, counted in self._late.tally.rows(self.now):
            self._session.many(self._sql[name], counted)
        rows = self._late.events
        ids = self._session.add_events(self._sql["add_event"], rows)
        return lambda: [FeedEvent(number, *row) for number, row in zip(ids(), rows, strict=True)]
