"""One transaction: it loads what the rules ask for, and saves what they decide. Nothing here knows a rule."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.domain.outcomes import (
    AttemptEnded,
    Change,
    DirectorySet,
    EdgeSatisfied,
    Edited,
    Happened,
    Inserted,
    KeyTaken,
    LogsAppended,
    Removed,
    Saved,
    Written,
)
from orchestrator.domain.paths import ancestors, span
from orchestrator.domain.task import DirectorySetting, Head, Inputs, Millis, Outputs, TaskView
from orchestrator.store.protocol import FeedEvent
from orchestrator.store.rows import (
    FIXED,
    HEAD_COLUMNS,
    HEAD_FIELDS,
    INPUT_FIELDS,
    OUTPUT_FIELDS,
    Row,
    head_of,
    inputs_of,
    outputs_of,
    row_of,
)
from orchestrator.store.tally import Tally

_EDITABLE = ("host", "path", "priority", "tags", "exclusive", "title", "run_at", "max_attempts", "timeout_ms", "backoff")
_EDITABLE_AT = [HEAD_FIELDS.index(name) for name in _EDITABLE]
_INSERT_TASK = f"INSERT INTO tasks ({', '.join(HEAD_FIELDS)}) VALUES ({', '.join('?' * len(HEAD_FIELDS))})"
_UPDATE_TASK = f"UPDATE tasks SET {', '.join(f'{name} = ?' for name in HEAD_FIELDS[FIXED:])} WHERE id = ? AND version = ?"
_EDIT_TASK = f"UPDATE tasks SET {', '.join(f'{name} = ?' for name in _EDITABLE)} WHERE id = ?"
_INSERT_INPUTS = f"INSERT INTO task_inputs (task_id, {', '.join(INPUT_FIELDS)}) VALUES (?{', ?' * len(INPUT_FIELDS)})"
_WRITE_OUTPUTS = (
    f"INSERT INTO task_outputs (task_id, {', '.join(OUTPUT_FIELDS)}) VALUES (?{', ?' * len(OUTPUT_FIELDS)}) "
    f"ON CONFLICT (task_id) DO UPDATE SET "
    + ", ".join(f"{name} = coalesce(excluded.{name}, task_outputs.{name})" for name in OUTPUT_FIELDS)
)


def fill(queries: Mapping[str, str]) -> dict[str, str]:
    """The named queries with their column lists filled in."""
    lists = {
        "{head}": HEAD_COLUMNS,
        "{inputs}": ", ".join(f"i.{name}" for name in INPUT_FIELDS),
        "{outputs}": ", ".join(f"o.{name}" for name in OUTPUT_FIELDS),
    }
    filled = {}
    for name, text in queries.items():
        for mark, columns in lists.items():
            text = text.replace(mark, columns)  # noqa: PLW2901 - marks replaced in turn
        filled[name] = text
    return filled


class StaleRowError(Exception):
    """A row changed between load and save, which only another writer can do: the batch is rolled back and run again."""


class Session(Protocol):
    """A connection within a transaction."""

    def fetch(self, query: str, *params: Any) -> list[Row]:
        """The rows of a query."""
        ...

    def many(self, query: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement for each row; how many rows it changed."""
        ...

    def listed(self, values: Iterable[Any]) -> Any:
        """A list as this dialect takes it as one parameter."""
        ...

    def task_id(self) -> int:
        """The next id of a task, never used before."""
        ...

    def event_id(self) -> int:
        """The next id of an event, in commit order."""
        ...


class Transaction:
    """The domain's Source over a session, and the saving of changes."""

    def __init__(self, session: Session, queries: Mapping[str, str], now: Millis) -> None:
        self._session = session
        self._sql = queries
        self._now = now
        self._loaded: dict[int, Head] = {}
        self._pending: list[Change] = []
        self._new: dict[int, TaskView] = {}
        self.events: list[FeedEvent] = []
        self.wrote = False

    # Loading

    def _fetch(self, name: str, *params: Any) -> list[Row]:
        return self._session.fetch(self._sql[name], *params)

    def _heads(self, name: str, *params: Any) -> list[Head]:
        heads = [head_of(row) for row in self._fetch(name, *params)]
        for head in heads:
            self._loaded.setdefault(head.id, head)
        return heads

    def heads(self, ids: Iterable[int]) -> list[Head]:
        """The tasks of these ids that there are."""
        return self._heads("heads", self._session.listed(ids))

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

    def delivered(self, poll_key: str) -> list[Head]:
        """Live leases of one poll."""
        return self._heads("delivered", poll_key)

    def streams(self, path: str, *, recursive: bool) -> list[tuple[str, str, str]]:
        """(path, kind, host) in which tasks wait."""
        found = self._fetch("streams_at", path)
        if recursive:
            found = found + self._fetch("streams_below", *span(path))
        return [(at, kind, host) for at, kind, host in found]

    def stream(self, stream: tuple[str, str, str], after: tuple[int, int] | None, limit: int) -> list[Head]:
        """The waiting tasks of a stream in order."""
        if after is None:
            return self._heads("stream_first", *stream, limit)
        return self._heads("stream_after", *stream, *after, limit)

    def leased(self, path: str, host: str, *, exclusive_only: bool) -> bool:
        """Whether a lease on, above or below a path is live on the host."""
        name = "leased_exclusive" if exclusive_only else "leased_shared"
        return bool(self._fetch(name, self._session.listed(ancestors(path)), *span(path), host)[0][0])

    def running_below(self, path: str | None, host: str) -> int:
        """How many tasks run in a directory and below."""
        rows = self._fetch("running_everywhere") if path is None else self._fetch("running_below", path, *span(path), host)
        return int(rows[0][0])

    def first_rank(self, path: str) -> int | None:
        """The lowest rank that waits in a directory."""
        firsts = [self.stream(stream, None, 1) for stream in self.streams(path, recursive=False)]
        return min((page[0].rank for page in firsts if page), default=None)

    def settings(self) -> list[DirectorySetting]:
        """The directories that are paused or limited."""
        return [
            DirectorySetting(host=host, path=path, paused=bool(paused), reason=reason, max_running=most, updated_at=at)
            for host, path, paused, reason, most, at in self._fetch("settings")
        ]

    def next_due(self) -> tuple[Millis | None, bool]:
        """When the next task or lease is due, and whether any lease is live."""
        times = self._fetch("next_due")[0]
        return min((at for at in times if at is not None), default=None), times[2] is not None

    def views(self, ids: Iterable[int]) -> dict[int, TaskView]:
        """Whole tasks as flushed; bodies that this transaction made itself are not read back."""
        wanted = set(ids)
        found = {task_id: view for task_id in wanted if (view := self._new.get(task_id))}
        missing = wanted - found.keys()
        if unloaded := missing - self._loaded.keys():
            self.heads(unloaded)
        for row in self._fetch("bodies", self._session.listed(missing)) if missing else ():
            outputs = outputs_of(row[1 + len(INPUT_FIELDS) :])
            found[row[0]] = TaskView(self._loaded[row[0]], inputs_of(row[1 : 1 + len(INPUT_FIELDS)]), outputs)
        return found

    # Saving

    def take(self, changes: Iterable[Change]) -> None:
        """Remember changes for the next flush."""
        self._pending += changes

    def flush(self) -> None:  # noqa: C901, PLR0912 - one case per kind
        """Write what was taken, a statement per kind of row.

        Raises StaleRowError when a row is not at the version that was loaded.
        """
        if not self._pending:
            return
        self.wrote = True
        rows: defaultdict[str, list[Sequence[Any]]] = defaultdict(list)
        heads: dict[int, Head] = {}
        inserted: dict[int, Inputs] = {}
        edited: dict[int, dict[str, str | None]] = {}
        removed: list[Head] = []
        tally = Tally(self._now)
        for change in self._pending:
            match change:
                case Happened(kind, head, data):
                    event = FeedEvent(
                        self._session.event_id(), self._now, kind, head.id, head.path, head.host, str(head.status), data
                    )
                    self.events.append(event)
                    rows["add_event"].append((event.id, event.at, kind, head.id, head.path, head.host, event.status, data))
                case Saved(head):
                    heads[head.id] = head
                case Inserted(head, inputs, parents):
                    heads[head.id] = head
                    inserted[head.id] = inputs
                    rows["add_edge"] += [(head.id, parent, done) for parent, done in parents.items()]
                case AttemptEnded(head, outcome, ended_at, error, usage, session_id, reason):
                    tally.ended(head, outcome, ended_at)
                    rows["add_attempt"].append((
                        head.id, head.lease_no, head.attempt, str(outcome), head.path, head.lease_host or "", head.kind,
                        head.worker_id, head.claimed_by, head.account, session_id, head.started_at, ended_at,
                        error, usage, reason,
                    ))  # fmt: skip
                case Written(task_id, outputs):
                    rows["outputs"].append((task_id, *(getattr(outputs, name) for name in OUTPUT_FIELDS)))
                case KeyTaken(scope, key, task_id, digest):
                    rows["add_key"].append((scope, key, task_id, digest, self._now))
                case EdgeSatisfied(child, parent):
                    rows["satisfy_edge"].append((child, parent))
                case Edited(head, inputs):
                    heads[head.id] = head
                    edited.setdefault(head.id, {}).update(inputs)
                case Removed(head):
                    heads.pop(head.id, None)
                    removed.append(head)
                case LogsAppended(task_id, lease_no, number, line, lines):
                    rows["add_log"] += [
                        (task_id, number + at, lease_no, line + at, row.at, str(row.stream), row.text)
                        for at, row in enumerate(lines)
                    ]
                case DirectorySet(setting):
                    rows["set_directory"].append((
                        setting.host, setting.path, setting.paused, setting.reason, setting.max_running, setting.updated_at,
                    ))  # fmt: skip
        self._pending.clear()
        self._save_tasks(heads, inserted, edited, removed, tally)
        if outputs_rows := rows.pop("outputs", None):
            self._session.many(_WRITE_OUTPUTS, outputs_rows)
        for name, values in rows.items():
            self._session.many(self._sql[name], values)
        for name, counted in tally.rows():
            self._session.many(self._sql[name], counted)

    def _save_tasks(  # noqa: C901 - kinds of rows, in order
        self,
        heads: dict[int, Head],
        inserted: dict[int, Inputs],
        edited: dict[int, dict[str, str | None]],
        removed: list[Head],
        tally: Tally,
    ) -> None:
        updates: list[Sequence[Any]] = []
        edits: list[Sequence[Any]] = []
        new: list[Sequence[Any]] = []
        for head in heads.values():
            row = row_of(head)
            before = self._loaded.get(head.id)
            tally.moved(before, head)
            if head.id in inserted:
                new.append(row)
                self._new[head.id] = TaskView(head, inserted[head.id], Outputs())
            elif before is not None:
                updates.append((*row[FIXED:], head.id, before.version))
                self._new.pop(head.id, None)
            if head.id in edited:
                edits.append((*(row[at] for at in _EDITABLE_AT), head.id))
            self._loaded[head.id] = head
        if new:
            self._session.many(_INSERT_TASK, new)
            self._session.many(
                _INSERT_INPUTS,
                [(task_id, *(getattr(inputs, name) for name in INPUT_FIELDS)) for task_id, inputs in inserted.items()],
            )
        if updates and self._session.many(_UPDATE_TASK, updates) != len(updates):
            raise StaleRowError
        if edits:
            self._session.many(_EDIT_TASK, edits)
        for task_id, columns in edited.items():
            for name, value in columns.items():
                self._session.many(f"UPDATE task_inputs SET {_input(name)} = ? WHERE task_id = ?", [(value, task_id)])
        if removed:
            for head in removed:
                tally.moved(self._loaded.get(head.id, head), None)
            known = [(head.id, self._loaded.get(head.id, head).version) for head in removed]
            if self._session.many(self._sql["remove_task"], known) != len(known):
                raise StaleRowError


def _input(name: str) -> str:
    if name not in INPUT_FIELDS:
        raise KeyError(name)
    return name
