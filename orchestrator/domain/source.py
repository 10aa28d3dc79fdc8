"""Where the world gets its rows from."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from orchestrator.domain.budgets import Spent
from orchestrator.domain.credential import Credential
from orchestrator.domain.holders import Account, Drain
from orchestrator.domain.notification_records import Brief, Heard
from orchestrator.domain.outcomes import Forgotten
from orchestrator.domain.records import RecordSource
from orchestrator.domain.task import DirectorySetting, Head, Millis, Outputs
from worker_client.contract.enums import Status

Stream = tuple[str, str, str, str]
"""The path, kind, host and agent of tasks that wait in one order; an empty host or agent: any."""
Place = tuple[int, int]
"""A rank and an id."""
Settings = Mapping[tuple[str, str], DirectorySetting]
"""By path and host."""


class Source(RecordSource, Protocol):
    """Where rows come from; called inside the transaction, by the world only. `wall`: the wall clock in ms."""

    wall: Millis

    def heads(self, ids: Iterable[int]) -> list[Head]:
        """Tasks by id."""
        ...

    def parents(self, children: Iterable[int]) -> list[tuple[int, int, bool]]:
        """(child, parent, satisfied) of children."""
        ...

    def open_edges(self, parents: Iterable[int]) -> list[tuple[int, int]]:
        """(parent, child) of unsatisfied edges."""
        ...

    def key(self, scope: str, key: str) -> tuple[int, str] | None:
        """(task id, digest) of an idempotency key."""
        ...

    def prompt(self, task_id: int) -> str | None:
        """The prompt of a task."""
        ...

    def outputs(self, task_id: int) -> Outputs:
        """The outputs of a task."""
        ...

    def log_position(self, task_id: int, lease_no: int) -> tuple[int, int]:
        """Last line numbers: of the task, of the lease."""
        ...

    def new_id(self) -> int:
        """The id of a task to be."""
        ...

    def due(self, now: Millis, limit: int) -> list[Head]:
        """Scheduled and parked tasks that are due."""
        ...

    def expired(self, now: Millis, limit: int) -> list[Head]:
        """Leases that are due."""
        ...

    def running(self) -> list[Head]:
        """All live leases."""
        ...

    def ended(self, before: Millis, limit: int) -> list[Head]:
        """Final tasks that ended before a time."""
        ...

    def last_lines(self, ids: Iterable[int]) -> dict[int, int]:
        """The number of the last line of output of tasks; those without output may be missing."""
        ...

    def more_to_forget(self, forgotten: Forgotten) -> bool:
        """Whether there is more than what this takes out."""
        ...

    def delivered(self, poll_key: str) -> list[Head]:
        """Live leases of a poll."""
        ...

    def awaited(self, run_id: int) -> list[tuple[int, str, bool]]:
        """(id, step, asked to stop) of the tasks of a run that have not ended, by id."""
        ...

    def statuses(self, ids: Iterable[int]) -> dict[int, Status]:
        """By id, how tasks stand; those that are gone are missing."""
        ...

    def result_sizes(self, ids: Iterable[int]) -> dict[int, int]:
        """By id, the characters of the results of tasks; those without one are missing."""
        ...

    def results(self, ids: Iterable[int]) -> dict[int, str]:
        """By id, the results of tasks, as JSON; those without one are missing."""
        ...

    def streams(self, path: str, *, recursive: bool) -> dict[Stream, Place]:
        """In which streams tasks wait, and the place of the first one in each."""
        ...

    def stream(self, stream: Stream, after: Place | None, limit: int) -> tuple[list[Head], bool]:
        """Waiting tasks of a stream, by rank, then id, about as many as `limit`; and whether these are the last."""
        ...

    def leased(self, path: str, host: str, *, exclusive_only: bool) -> bool:
        """Whether a lease around the path is live."""
        ...

    def owned(self, path: str, host: str) -> bool:
        """Whether an exclusive lease on the path or above it is live."""
        ...

    def running_below(self, path: str | None, host: str) -> int:
        """How many run in a directory and below; None: anywhere."""
        ...

    def spent(self, day: int, path: str, host: str) -> Spent:
        """What was used in a directory and below on a day, by who worked on a host (empty: on all)."""
        ...

    def held_for_the_day(self, path: str, host: str, limit: int) -> list[Head]:
        """Tasks in a directory and below that are parked with reason budget until a time, for a host or (empty) all."""
        ...

    def first_rank(self, path: str) -> int | None:
        """The lowest rank that waits in a directory."""
        ...

    def settings(self) -> Settings:
        """Directories that are paused, limited or have a budget."""
        ...

    def alive_at(self) -> Millis:
        """When a server last told that it is alive; nobody else can tell it until the commit."""
        ...

    def credential(self, id: str) -> Credential | None:
        """A key by its id."""
        ...

    def credentials_named(self, name: str) -> list[Credential]:
        """The keys that have a name and are not revoked; sessions have none."""
        ...

    def sessions(self, parent: str) -> list[Credential]:
        """The sessions of a key that are not revoked."""
        ...

    def listed(self, list: str, network: str) -> bool:
        """Whether an address is on a list."""
        ...

    def account(self, scope: str, account: str) -> Account | None:
        """An account, as those of a path scope know it."""
        ...

    def accounts_named(self, account: str) -> list[Account]:
        """The accounts of a name, of all path scopes."""
        ...

    def lapsed(self, now: Millis, limit: int) -> list[Account]:
        """Accounts whose quota has come back."""
        ...

    def parked_for(self, account: str, after: int, limit: int) -> list[Head]:
        """Tasks with ids above `after` that wait for the quota of an account, by id."""
        ...

    def running_of(self, worker_id: str) -> list[Head]:
        """The live leases of a worker."""
        ...

    def drains(self) -> list[Drain]:
        """The workers that were told to drain."""
        ...

    def last_event(self) -> int:
        """The id of the last event of the feed."""
        ...

    def heard(self, after: int, limit: int) -> list[Heard]:
        """Events after one, in order."""
        ...

    def briefs(self, ids: Iterable[int]) -> list[Brief]:
        """What is told of tasks; others may be about to change them."""
        ...
