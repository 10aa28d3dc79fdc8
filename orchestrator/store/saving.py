"""The saving of changes: rows gathered per statement, each statement run once."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from msgspec.structs import astuple

from orchestrator.domain.budgets import day_of
from orchestrator.domain.credential import Credential
from orchestrator.domain.operations import Use
from orchestrator.domain.outcomes import (
    AccountSaved,
    AddressListed,
    AttemptEnded,
    BudgetReached,
    Change,
    CredentialSaved,
    DirectorySet,
    DrainSaved,
    EdgeSatisfied,
    Edited,
    Forgotten,
    Happened,
    Indexed,
    Inserted,
    KeysUsed,
    KeyTaken,
    LogsAppended,
    LogsTrimmed,
    Noted,
    Removed,
    Saved,
    UsageCounted,
    Written,
)
from orchestrator.domain.record import Record
from orchestrator.domain.records import Dropped, Kept, SchedulerSet
from orchestrator.domain.task import Head, Inputs, Millis, Outputs, merged
from orchestrator.store.rows import (
    HEAD_FIELDS,
    KEY_FIELDS,
    changed,
    row_of,
    row_of_account,
    row_of_drain,
    row_of_key,
)
from orchestrator.store.saving_leases import Leases
from orchestrator.store.saving_records import RecordKey, save_records
from orchestrator.store.session import Session
from orchestrator.store.statements import (
    INPUT_COLUMNS,
    by_what_they_hold,
    insert_into,
    known_input,
    picker,
    update_tasks,
    write_outputs,
)
from orchestrator.store.tally import HOUR, MINUTE, Tally

_DAY: Final = 24 * HOUR
_INSERT_KEY = f"INSERT INTO api_keys ({', '.join(KEY_FIELDS)}) VALUES ({', '.join('?' * len(KEY_FIELDS))})"
_CHANGED = [KEY_FIELDS.index(name) for name in ("name", "secrets", "rate", "expires_at", "disabled", "revoked_at", "id")]
"""The columns of a key that change, as change_key has them."""
_NOTHING = Outputs()


class Late:
    """What is written at the end of the transaction, as all servers write it: rollups, the feed, what is forgotten."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.logged: set[int] = set()
        self.events: list[Sequence[Any]] = []
        self.forgotten: list[tuple[str, Sequence[Any]]] = []

    @property
    def empty(self) -> bool:
        """Whether there is nothing that has to be written in the order of all servers."""
        return not self.events and not self.forgotten and self.tally.empty


class Writes:
    """One flush: tell it the changes, then run it."""

    def __init__(self, session: Session, now: Millis, late: Late) -> None:
        self._session = session
        self._now = now
        self._late = late
        self._rows: defaultdict[str, list[Sequence[Any]]] = defaultdict(list)
        self.heads: dict[int, Head] = {}
        self._inserted: dict[int, Inputs] = {}
        self.edited: dict[int, dict[str, str | None]] = {}
        self.removed: dict[int, Head] = {}
        self.outputs: dict[int, Outputs] = {}
        self._keys: dict[str, tuple[Credential, bool]] = {}
        self._uses: dict[str, Use] = {}
        self._addresses: dict[tuple[str, str], AddressListed] = {}
        self._accounts: dict[tuple[str, str], AccountSaved] = {}
        self._drains: dict[tuple[str, str], DrainSaved] = {}
        self.records: dict[RecordKey, Record | None] = {}
        self._who = ("", "")

    def add(self, changes: Iterable[Change], actor: str, origin: str) -> None:
        """Gather the rows of what somebody changed, from an address."""
        self._who = (actor, origin)
        for change in changes:
            self._ADD[type(change)](self, change)

    def _happened(self, change: Happened) -> None:
        head = change.head
        self._late.events.append(
            (
                self._now,
                change.type,
                head.id,
                head.path,
                head.host,
                str(head.status),
                change.data,
                *self._who,
                head.run_id,
                head.schedule_id,
            )
        )

    def _noted(self, change: Noted) -> None:
        self._late.events.append(
            (
                self._now,
                change.type,
                0,
                change.path,
                change.host,
                None,
                change.data,
                *self._who,
                change.run_id,
                change.schedule_id,
            )
        )

    def _saved(self, change: Saved) -> None:
        self.heads[change.head.id] = change.head

    def _edit(self, change: Edited) -> None:
        self.heads[change.head.id] = change.head
        self.edited.setdefault(change.head.id, {}).update(change.inputs)

    def _insert(self, change: Inserted) -> None:
        self.heads[change.head.id] = change.head
        self._inserted[change.head.id] = change.inputs
        self._rows["add_edge"] += [(change.head.id, parent, done) for parent, done in change.parents.items()]

    def _remove(self, change: Removed) -> None:
        self.heads.pop(change.head.id, None)
        self.removed[change.head.id] = change.head

    def _write(self, change: Written) -> None:
        self.outputs[change.task_id] = merged(self.outputs.get(change.task_id), change.outputs)

    def _satisfy(self, change: EdgeSatisfied) -> None:
        self._rows["satisfy_edge"].append((change.child, change.parent))

    def _key(self, change: KeyTaken) -> None:
        self._rows["add_key"].append((change.scope, change.key, change.task_id, change.digest, self._now))

    def _attempt(self, change: AttemptEnded) -> None:
        head = change.head
        self._late.tally.ended(head, change.outcome, change.ended_at)
        self._rows["add_attempt"].append((
            head.id, head.lease_no, head.attempt, str(change.outcome), head.path, head.lease_host or "", head.kind,
            head.worker_id, head.claimed_by, head.account, change.session_id, head.started_at, change.ended_at,
            change.error, change.usage, change.reason, head.agent or None, change.evidence,
        ))  # fmt: skip

    def _logs(self, change: LogsAppended) -> None:
        self._late.logged.add(change.task_id)
        self._rows["add_log"] += [
            (change.task_id, change.first_number + at, change.lease_no, change.first_line + at, row.at, str(row.stream), row.text)
            for at, row in enumerate(change.lines)
        ]

    def _trim_logs(self, change: LogsTrimmed) -> None:
        self._late.forgotten.append(("trim_logs", (change.task_id, change.last)))

    def _forget(self, change: Forgotten) -> None:
        minute, hour = periods_before(change.rollups_before)
        self._late.forgotten += [
            *((what, (change.before, change.limit)) for what in ("forget_events", "forget_fires")),
            *((f"forget_{what}", (change.keys_before, change.limit)) for what in ("keys", "deliveries", "notifications")),
            ("forget_rates", (minute, change.limit)),
            ("forget_durations", (hour, change.limit)),
            *((what, (day_of(change.usage_before), change.limit)) for what in ("forget_usage", "forget_tag_usage")),
        ]
        if change.last:
            past = self._now - _DAY
            self._late.forgotten += [
                ("forget_counts", ()),
                ("forget_sessions", (past, change.limit)),
                *((what, (past,)) for what in ("forget_accounts", "forget_drains")),
            ]

    def _directory(self, change: DirectorySet) -> None:
        setting = change.setting
        # One statement can write a row only once: the last word counts.
        others = [row for row in self._rows["set_directory"] if (row[0], row[1]) != (setting.host, setting.path)]
        self._rows["set_directory"] = [*others, (
            setting.host, setting.path, setting.paused, setting.reason, setting.max_running, setting.updated_at,
            setting.daily_tokens, setting.daily_micros, setting.daily_attempts,
        )]  # fmt: skip

    def _reached(self, change: BudgetReached) -> None:
        others = [row for row in self._rows["reach_budget"] if (row[1], row[2]) != (change.path, change.host)]
        self._rows["reach_budget"] = [*others, (change.day, change.path, change.host)]

    def _count(self, change: UsageCounted) -> None:
        self._late.tally.used(change)

    def _credential(self, change: CredentialSaved) -> None:
        key = change.credential
        self._keys[key.id] = (key, change.fresh or self._keys.get(key.id, (key, False))[1])

    def _used(self, change: KeysUsed) -> None:
        for use in change.uses:
            if use.id not in self._uses or self._uses[use.id].at < use.at:
                self._uses[use.id] = use

    def _listed(self, change: AddressListed) -> None:
        self._addresses[change.entry.list, change.entry.network] = change

    def _account(self, change: AccountSaved) -> None:
        key = change.account.scope, change.account.account
        fresh = change.fresh or (key in self._accounts and self._accounts[key].fresh)
        self._accounts[key] = AccountSaved(change.account, fresh)

    def _drain(self, change: DrainSaved) -> None:
        self._drains[change.drain.worker_id, change.drain.scope] = change

    def _keep(self, change: Kept | Dropped) -> None:
        record = change.record
        self.records[type(record), record.identity] = record if isinstance(change, Kept) else None

    def _index(self, change: Indexed) -> None:
        self._rows["index_words"].append((change.task_id, self._session.spaced(change.words)))

    def _schedule(self, change: SchedulerSet) -> None:
        self._rows["set_meta"] = [("scheduler", "running" if change.running else "stopped")]

    @property
    def settings(self) -> bool:
        """Whether something about directories is written."""
        return "set_directory" in self._rows or "reach_budget" in self._rows

    @property
    def held(self) -> list[Millis]:
        """Until when accounts are held."""
        return [saved.account.held_until for saved in self._accounts.values() if saved.account.held_until is not None]

    _ADD: ClassVar[Mapping[type[Change], Callable[[Any, Any], None]]] = {
        Happened: _happened,
        Saved: _saved,
        Edited: _edit,
        Inserted: _insert,
        Removed: _remove,
        Written: _write,
        EdgeSatisfied: _satisfy,
        KeyTaken: _key,
        AttemptEnded: _attempt,
        LogsAppended: _logs,
        LogsTrimmed: _trim_logs,
        Forgotten: _forget,
        DirectorySet: _directory,
        BudgetReached: _reached,
        UsageCounted: _count,
        Noted: _noted,
        CredentialSaved: _credential,
        KeysUsed: _used,
        AddressListed: _listed,
        AccountSaved: _account,
        DrainSaved: _drain,
        Kept: _keep,
        Dropped: _keep,
        SchedulerSet: _schedule,
        Indexed: _index,
    }

    def run(self, sql: Mapping[str, str], loaded: dict[int, Head], known: dict[RecordKey, Record]) -> dict[int, Inputs]:
        """Write everything; the inputs of new tasks. `loaded`, `known`: rows as in the database, which this brings up to date.

        StaleRowError is raised, sooner or later, when a row is not at the version that was loaded.
        """
        many = self._session.many
        self._save_tasks(sql, loaded)
        for task_id, edits in self.edited.items():
            for name, value in edits.items():
                many(f"UPDATE task_inputs SET {known_input(name)} = ? WHERE task_id = ?", [(value, task_id)])
        outputs = ((task_id, *astuple(written)) for task_id, written in self.outputs.items() if written != _NOTHING)
        for columns, rows in by_what_they_hold(outputs).items():
            many(write_outputs(columns), rows)
        for name, others in self._rows.items():
            many(sql[name], others)
        self._save_doors(sql)
        self._save_holds(sql)
        save_records(self._session, self.records, known)
        self._remove_tasks(sql, loaded)
        return self._inserted

    def _save_tasks(self, sql: Mapping[str, str], loaded: dict[int, Head]) -> None:
        inserts: list[Sequence[Any]] = []
        updates: defaultdict[tuple[int, ...], list[Sequence[Any]]] = defaultdict(list)
        leases = Leases()
        for head in self.heads.values():
            row, before = row_of(head), loaded.get(head.id)
            self._late.tally.moved(before, head)
            if before is None:
                inserts.append(row)
            else:
                columns = changed(before, head)
                updates[columns].append((*picker(columns)(row), head.id, before.version))
                leases.moved(before, head)
            loaded[head.id] = head
        leases.save(self._session, sql)
        many = self._session.many
        for columns, rows in by_what_they_hold(inserts).items():
            many(insert_into("tasks", HEAD_FIELDS, columns), rows)
        inputs = ((task_id, *astuple(given)) for task_id, given in self._inserted.items())
        for columns, rows in by_what_they_hold(inputs).items():
            many(insert_into("task_inputs", INPUT_COLUMNS, columns), rows)
        for columns, rows in updates.items():
            many(update_tasks(columns), rows, exactly=True)

    def _save_doors(self, sql: Mapping[str, str]) -> None:
        many = self._session.many
        changed_keys = [row_of_key(key) for key, fresh in self._keys.values() if not fresh]
        # First what may free a name.
        many(sql["change_key"], [[row[at] for at in _CHANGED] for row in changed_keys])
        many(_INSERT_KEY, [row_of_key(key) for key, fresh in self._keys.values() if fresh])
        many(sql["use_key"], [(use.at, use.origin, use.id) for use in self._uses.values()])
        entries = self._addresses.values()
        many(sql["list_address"], [astuple(one.entry) for one in entries if one.listed])
        many(sql["unlist_address"], [(one.entry.list, one.entry.network) for one in entries if not one.listed])

    def _save_holds(self, sql: Mapping[str, str]) -> None:
        many = self._session.many
        accounts = self._accounts.values()
        many(sql["add_account"], [row_of_account(one.account) for one in accounts if one.fresh])
        rows = [row_of_account(one.account) for one in accounts if not one.fresh]
        many(sql["change_account"], [(*row[3:], *row[:2]) for row in rows])
        drains = self._drains.values()
        many(sql["add_drain"], [row_of_drain(one.drain) for one in drains if one.drained])
        many(sql["remove_drain"], [(one.drain.worker_id, one.drain.scope) for one in drains if not one.drained])

    def _remove_tasks(self, sql: Mapping[str, str], loaded: dict[int, Head]) -> None:
        stored = {task_id: loaded.pop(task_id) for task_id in self.removed if task_id in loaded}
        for head in stored.values():
            self._late.tally.moved(head, None)
        if "remove_lease" in sql:
            # Of a task whose lease ended in this very batch.
            self._session.many(sql["remove_lease"], [(head.id,) for head in stored.values() if head.lease_mode])
        if "remove_words" in sql:
            self._session.many(sql["remove_words"], [(task_id,) for task_id in stored])
        self._session.many(sql["outlive_task"], [(head.finished_at or self._now, head.id) for head in stored.values()])
        self._session.many(sql["remove_task"], [(head.id, head.version) for head in stored.values()], exactly=True)


def periods_before(at: Millis) -> tuple[int, int]:
    """The minute and the hour before which rollups end before a time."""
    return at // MINUTE - 1, at // HOUR - 1
