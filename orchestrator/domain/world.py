"""What a batch of operations sees: rows loaded on demand, with what the operations before it changed laid over them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar

from msgspec.structs import replace

from orchestrator.domain.budgets import day_of
from orchestrator.domain.footprint import Footprint
from orchestrator.domain.holds import Holds
from orchestrator.domain.keyring import Keyring
from orchestrator.domain.operations import Interest
from orchestrator.domain.outcomes import (
    AccountSaved,
    AddressListed,
    BudgetReached,
    Change,
    CredentialSaved,
    DirectorySet,
    DrainSaved,
    EdgeSatisfied,
    Edited,
    Inserted,
    KeyTaken,
    LogsAppended,
    Removed,
    Saved,
    UsageCounted,
    Written,
)
from orchestrator.domain.pages import Pages, open_next, take_next
from orchestrator.domain.paths import ancestors
from orchestrator.domain.records import Dropped, Kept, Records, Run, Under
from orchestrator.domain.source import Place, Source, Stream
from orchestrator.domain.spending import Spending
from orchestrator.domain.task import DirectorySetting, Head, LeaseMode, Millis, Outputs, merged
from worker_client.contract.enums import Status


class World(Keyring):
    """The state as of the operation at hand. `now` in ms; `chance` and `nonce` are the only randomness that rules get."""

    def __init__(self, source: Source, *, now: Millis, chance: Callable[[], float], nonce: Callable[[], str]) -> None:
        super().__init__(source)
        self.holds = Holds(source)
        self.records = Records(source)
        self.now = now
        self.chance = chance
        self.nonce = nonce
        self.trace: str | None = None
        self._heads: dict[int, Head | None] = {}
        self._parents: dict[int, dict[int, bool]] = {}
        self._open_edges: dict[int, list[int]] = {}
        self._keys: dict[tuple[str, str], tuple[int, str] | None] = {}
        self._written: dict[int, list[Outputs]] = defaultdict(list)
        self._log_positions: dict[tuple[int, int], tuple[int, int]] = {}
        self._settings: dict[tuple[str, str], DirectorySetting] | None = None
        self._asked: dict[Interest, list[tuple[Place, Stream]]] = {}
        self._streams: dict[tuple[str, bool], dict[Stream, Place]] = {}
        self._pages: dict[Stream, Pages] = {}
        self._owned: dict[tuple[str, str], bool] = {}
        self._leased: dict[tuple[str, str, bool], bool] = {}
        self._running_below: dict[tuple[str | None, str], int] = {}
        self.spending = Spending(source, now)
        self._claimed: list[Head] = []
        self._shared = Footprint()
        self._exclusive = Footprint()

    # Tasks and their edges

    def load(self, ids: Iterable[int], *, ending: Iterable[int] = ()) -> None:
        """Fetch many heads at once, with the open edges to the dependents of those that may end."""
        self.remember(self.source.heads(set(ids) - self._heads.keys()))
        ending = set(ending) - self._open_edges.keys()
        for parent in ending:
            self._open_edges[parent] = []
        for parent, child in self.source.open_edges(ending) if ending else ():
            self._open_edges[parent].append(child)

    def head(self, task_id: int) -> Head | None:
        """The task as it is now, or None."""
        if task_id not in self._heads:
            found = self.source.heads([task_id])
            self._heads[task_id] = found[0] if found else None
        return self._heads[task_id]

    def parents(self, head: Head) -> dict[int, bool]:
        """Parent ids of a task, with whether each is satisfied."""
        if not head.has_parents:
            return {}
        if head.id not in self._parents:
            self._parents[head.id] = {parent: done for _, parent, done in self.source.parents([head.id])}
        return self._parents[head.id]

    def has_open_parents(self, head: Head) -> bool:
        """Whether a task still waits for another."""
        return not all(self.parents(head).values())

    def dependents(self, parent: int) -> list[int]:
        """Ids of the tasks that wait for this one."""
        if parent not in self._open_edges:
            self._open_edges[parent] = [child for _, child in self.source.open_edges([parent])]
        return self._open_edges[parent]

    def remember(self, heads: Iterable[Head]) -> list[Head]:
        """Keep loaded rows, unless an operation of this batch has changed them; answer with what counts."""
        current = []
        for head in heads:
            known = self._heads.setdefault(head.id, head)
            if known is not None:
                current.append(known)
        return current

    # Other rows

    def key(self, scope: str, key: str) -> tuple[int, str] | None:
        """The task id and body digest that an idempotency key stands for."""
        if (scope, key) not in self._keys:
            self._keys[scope, key] = self.source.key(scope, key)
        return self._keys[scope, key]

    def outputs(self, task_id: int) -> Outputs:
        """The outputs of a task, with the changes of this batch."""
        outputs = self.source.outputs(task_id)
        for change in self._written[task_id]:
            outputs = merged(outputs, change)
        return outputs

    def log_position(self, task_id: int, lease_no: int) -> tuple[int, int]:
        """The numbers of the last stored line: of the task, and of the lease."""
        if (task_id, lease_no) not in self._log_positions:
            self._log_positions[task_id, lease_no] = self.source.log_position(task_id, lease_no)
        return self._log_positions[task_id, lease_no]

    def due(self, limit: int) -> list[Head]:
        """Tasks whose due time may have come."""
        return self.remember(self.source.due(self.now, limit))

    def expired(self, limit: int) -> list[Head]:
        """Leases whose time may be over."""
        return self.remember(self.source.expired(self.now, limit))

    def ended(self, before: Millis, limit: int) -> list[Head]:
        """Tasks that ended before a time."""
        return self.remember(self.source.ended(before, limit))

    def running(self) -> list[Head]:
        """All live leases."""
        return self.remember(self.source.running())

    def running_of(self, worker_id: str) -> list[Head]:
        """The live leases of a worker."""
        return [head for head in self.remember(self.source.running_of(worker_id)) if head.status is Status.RUNNING]

    def parked_for(self, account: str, after: int, limit: int) -> list[Head]:
        """Tasks with ids above `after` that may wait for the quota of an account, of whatever path scope."""
        return self.remember(self.source.parked_for(account, after, limit))

    def setting(self, path: str, host: str) -> DirectorySetting | None:
        """What was set for exactly this directory."""
        return self._all_settings().get((path, host))

    def renewable(self) -> list[DirectorySetting]:
        """Directories whose budget was used up on a day that is over."""
        today = day_of(self.now)
        return [one for one in self._all_settings().values() if one.reached_day is not None and one.reached_day < today]

    def settings_over(self, path: str, host: str) -> list[DirectorySetting]:
        """What was set for a directory or one above it, on this host or on all."""
        settings = self._all_settings()
        if not settings:
            return []
        hosts = {host, ""}
        return [found for above in ancestors(path) for on in hosts if (found := settings.get((above, on)))]

    def _all_settings(self) -> dict[tuple[str, str], DirectorySetting]:
        if self._settings is None:
            self._settings = dict(self.source.settings())
        return self._settings

    # What a claim asks; the rows that earlier phases changed have been saved by then

    def claims_begin(self) -> None:
        """Ask for settings anew: until it was this batch's turn to claim, others may have changed them."""
        self._settings = None
        self.spending.forget()

    def delivered(self, poll_key: str) -> list[Head]:
        """Live leases that an earlier delivery of the same poll was given."""
        rows = self.remember(self.source.delivered(poll_key))
        loaded = {row.id for row in rows}
        rows += [head for one in self._claimed if one.id not in loaded and (head := self._heads[one.id])]
        return [row for row in rows if row.status is Status.RUNNING and row.poll_key == poll_key]

    def candidates(self, interest: Interest, shuts: Callable[[str, str], bool]) -> Iterator[Head]:
        """Waiting tasks of the directories asked for, by rank, then id; those that this batch claimed are left out.

        `shuts` tells of a path and a kind that none of its tasks need be looked at.
        """
        firsts = self._asked.get(interest)
        if firsts is None:
            streams = {
                (place, stream)
                for path in interest.paths
                for stream, place in self._streams_of(path, recursive=interest.recursive).items()
                if interest.takes(*stream[1:])
            }
            firsts = self._asked[interest] = sorted(streams)
        return (head for head in self._merged(firsts, shuts) if not self.taken(head))

    def _merged(self, firsts: Iterable[tuple[Place, Stream]], shuts: Callable[[str, str], bool]) -> Iterator[Head]:
        """Streams as one, each opened when the turn of its first task has come: there may be thousands."""
        opened: list[tuple[Place, Head, Iterator[Head]]] = []
        for place, stream in firsts:
            while opened and opened[0][0] < place:
                yield from take_next(opened)
            if not shuts(stream[0], stream[1]):
                open_next(opened, self._stream(stream))
        while opened:
            yield from take_next(opened)

    def taken(self, head: Head) -> bool:
        """Whether this batch has claimed a candidate."""
        current = self._heads[head.id]
        return current is None or current.status is not Status.WAITING

    def _streams_of(self, path: str, *, recursive: bool) -> dict[Stream, Place]:
        if (path, recursive) not in self._streams:
            self._streams[path, recursive] = self.source.streams(path, recursive=recursive)
        return self._streams[path, recursive]

    def _stream(self, stream: Stream) -> Iterator[Head]:
        if stream not in self._pages:
            self._pages[stream] = Pages(self, stream)
        return iter(self._pages[stream])

    def lease_conflict(self, path: str, host: str, *, exclusive: bool) -> bool:
        """Whether a live lease around the path, on this host, excludes a new one."""
        only_exclusive = not exclusive
        key = (path, host, only_exclusive)
        if key not in self._leased:
            self._leased[key] = self.source.leased(path, host, exclusive_only=only_exclusive)
        return self._leased[key] or self._exclusive.touches(path, host) or (exclusive and self._shared.touches(path, host))

    def owned(self, path: str, host: str) -> bool:
        """Whether a live exclusive lease is on the path or above it, on this host."""
        key = (path, host)
        if key not in self._owned:
            self._owned[key] = self.source.owned(path, host)
        return self._owned[key] or self._exclusive.above(path, host)

    def running_below(self, path: str | None, host: str) -> int:
        """Live leases in a directory and below it (None: anywhere), on a host (empty: on all)."""
        key = (path, host)
        if key not in self._running_below:
            self._running_below[key] = self.source.running_below(path, host)
        if path is None:
            return self._running_below[key] + len(self._claimed)
        return self._running_below[key] + sum(
            path in ancestors(head.path) and (not host or head.lease_host == host) for head in self._claimed
        )

    def held_for_the_day(self, path: str, host: str, limit: int) -> list[Head]:
        """Tasks in a directory and below that are parked with reason budget until a time."""
        return self.remember(self.source.held_for_the_day(path, host, limit))

    def first_rank(self, path: str) -> int | None:
        """The lowest rank that waits in a directory."""
        changed = (head.rank for head in self._heads.values() if head and head.path == path and head.status is Status.WAITING)
        stored = self.source.first_rank(path)
        return min(changed if stored is None else chain(changed, [stored]), default=None)

    def under_way(self, schedules: Sequence[int]) -> dict[int, list[Under]]:
        """What schedules have created that has not ended, by schedule."""
        under: dict[int, list[Under]] = {schedule_id: [] for schedule_id in schedules}
        runs = self.records.known(Run)
        found = [one for one in self.source.under_way(schedules) if one.task_id not in self._heads and (one.run_id,) not in runs]
        heads = (head for head in self._heads.values() if head and head.run_id is None and not head.status.final)
        found += [Under(head.schedule_id, head.id, None) for head in heads if head.schedule_id in under]
        found += [Under(run.schedule_id, None, run.id) for run in runs.values() if run and run.finished_at is None]
        for one in found:
            if one.schedule_id in under:
                under[one.schedule_id].append(one)
        return under

    def awaited(self, run_id: int) -> list[int]:
        """Ids of the tasks of a run that have not ended."""
        found = [task_id for task_id, _, _ in self.source.awaited(run_id) if task_id not in self._heads]
        found += [head.id for head in self._heads.values() if head and head.run_id == run_id and not head.status.final]
        return sorted(found)

    @property
    def wall(self) -> Millis:
        """The wall clock, which schedules follow: unlike `now` it may be set forward and back."""
        return self.source.wall

    def new_id(self) -> int:
        """The id of a task to be."""
        return self.source.new_id()

    # Changes

    def apply(self, changes: Sequence[Change]) -> None:
        """Lay the changes of an operation over what was loaded; to apply them twice is harmless."""
        for change in changes:
            if apply := self._APPLY.get(type(change)):
                apply(self, change)

    def _saved(self, change: Saved | Edited) -> None:
        head = change.head
        before = self._heads.get(head.id)
        if head.status is Status.RUNNING and (before is None or before.status is not Status.RUNNING):
            self._take(head)
        self._heads[head.id] = head

    def _inserted(self, change: Inserted) -> None:
        head = change.head
        self._heads[head.id] = head
        self._parents[head.id] = dict(change.parents)
        for parent, done in change.parents.items():
            if not done:
                self.dependents(parent).append(head.id)

    def _removed(self, change: Removed) -> None:
        self._heads[change.head.id] = None

    def _wrote(self, change: Written) -> None:
        self._written[change.task_id].append(change.outputs)

    def _satisfied(self, change: EdgeSatisfied) -> None:
        self._parents[change.child][change.parent] = True
        self._open_edges[change.parent] = [other for other in self.dependents(change.parent) if other != change.child]

    def _key_taken(self, change: KeyTaken) -> None:
        self._keys[change.scope, change.key] = (change.task_id, change.digest)

    def _logged(self, change: LogsAppended) -> None:
        count = len(change.lines) - 1
        self._log_positions[change.task_id, change.lease_no] = (change.first_number + count, change.first_line + count)

    def _set_directory(self, change: DirectorySet) -> None:
        self._all_settings()[change.setting.path, change.setting.host] = change.setting

    def _count(self, change: UsageCounted) -> None:
        self.spending.count(change)

    def _reach(self, change: BudgetReached) -> None:
        settings = self._all_settings()
        if (setting := settings.get((change.path, change.host))) is not None:
            settings[change.path, change.host] = replace(setting, reached_day=change.day)

    def _hold(self, change: AccountSaved | DrainSaved) -> None:
        self.holds.save(change)

    def _keep(self, change: Kept | Dropped) -> None:
        self.records.save(change)

    _APPLY: ClassVar[dict[type[Any], Callable[[Any, Any], None]]] = {
        Saved: _saved,
        Edited: _saved,
        Inserted: _inserted,
        Removed: _removed,
        Written: _wrote,
        EdgeSatisfied: _satisfied,
        KeyTaken: _key_taken,
        LogsAppended: _logged,
        DirectorySet: _set_directory,
        UsageCounted: _count,
        BudgetReached: _reach,
        CredentialSaved: Keyring.save_credential,
        AddressListed: Keyring.list_address,
        AccountSaved: _hold,
        DrainSaved: _hold,
        Kept: _keep,
        Dropped: _keep,
    }

    def _take(self, head: Head) -> None:
        self._claimed.append(head)
        if head.lease_mode == LeaseMode.EXCLUSIVE:
            self._exclusive.add(head.path, head.lease_host or "")
        elif head.lease_mode == LeaseMode.SHARED:
            self._shared.add(head.path, head.lease_host or "")
