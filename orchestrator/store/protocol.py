"""What a store is: it saves what the domain decides, and reads. It knows no rules."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from orchestrator.domain.operations import Submission
from orchestrator.domain.outcomes import Decision, Ready
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis
from worker_client.errors import Conflict

if TYPE_CHECKING:
    from orchestrator.store.reads import Reads


class FeedEvent(Struct, frozen=True, cache_hash=True):
    """A row of the feed; `data` is JSON; `actor`: the id of who did it, from the address `origin`.

    `task_id` is 0 when it is about no task: about a directory, or with no path about the server.
    """

    id: int
    at: Millis
    type: str
    task_id: int
    path: str
    host: str
    status: str | None
    data: str
    actor: str = ""
    origin: str = ""
    run_id: int | None = None
    schedule_id: int | None = None


class Commit(Struct, frozen=True):
    """A batch that is on disk: its time, a decision per submission, its events.

    `next_due`: when the next task or lease is due; `leases`: whether any lease is live; `next_fire`: when the next schedule is
    due, in wall time; `wrote`: whether that wrote anything.
    """

    now: Millis
    decisions: list[Decision]
    events: list[FeedEvent]
    next_due: Millis | None
    leases: bool
    next_fire: Millis | None = None
    wrote: bool = True


class Folded(Struct, frozen=True):
    """Pages in a write-ahead log, and how many of them are in the database already."""

    pages: int
    done: int


class StoreAwayError(Exception):
    """The database cannot be reached; what was asked of it had no effect."""


class BusyError(Exception):
    """Others held for too long what a transaction wanted, or the database hung up again and again; it had no effect."""


class UnwritableError(Exception):
    """The database takes no writes, as on a full disk, but may be read; what it was told to write is not done."""


class UnsettledError(Exception):
    """The answer to a commit was lost, and the database did not come back to tell whether it had an effect."""


class DatabaseInUseError(Conflict):
    """Somebody else has the database, or is not done with it."""


class Store(Protocol):
    """A durable queue: one transaction per batch."""

    @property
    def reads(self) -> "Reads":
        """Queries outside the queue."""
        ...

    @property
    def epoch(self) -> str:
        """Changes when the feed does not continue: a restored backup, another database."""
        ...

    @property
    def asleep_ms(self) -> int:
        """How long no server had committed when this one opened the store."""
        ...

    async def open(self) -> Commit:
        """Connect; the (empty) commit says what time it is and what is due."""
        ...

    async def commit(self, batch: Sequence[Submission], rules: Rules) -> Commit:
        """Decide and save a batch in one transaction; on return it is on disk."""
        ...

    def now(self) -> Millis:
        """The store's time."""
        ...

    def wall(self) -> Millis:
        """The wall clock that schedules follow."""
        ...

    def hurry(self) -> None:
        """The server stops: a commit that is under way is not waited for much longer."""
        ...

    async def wal_bytes(self) -> int | None:
        """The size of the write-ahead log; None where that is the database server's business."""
        ...

    async def close(self) -> None:
        """Let go of the database."""
        ...


class Look(Struct, frozen=True):
    """How the database stands, whoever wrote it last.

    `ready`: kinds of tasks that wait in the directories asked about and that no exclusive lease keeps back; their id is 0.
    """

    last_event: int
    next_due: Millis | None
    leases: bool
    ready: list[Ready]
    next_fire: Millis | None = None


class Asker(Struct, frozen=True):
    """A worker that asks at some server; `present` is JSON."""

    worker_id: str
    seen_at: Millis
    present: str


class SharedStore(Store, Protocol):
    """A store that other servers write to, too."""

    async def listen(self, tell: Callable[[tuple[int, ...]], None]) -> None:
        """From now on, call `tell` in this event loop soon after another server committed events or lines of output.

        It gets the ids of the tasks that have new output. A hint: it may come late, or not at all.
        """
        ...

    async def look(self, paths: Sequence[str], roots: Sequence[str]) -> Look:
        """Look at the database, at what waits in `paths` and in or below `roots`. Raises StoreAwayError."""
        ...

    async def share(self, askers: Sequence[Asker]) -> None:
        """Tell the other servers who asks here; replaces what was told of these workers before."""
        ...

    async def servers(self) -> int:
        """How many servers there are on this database, this one included."""
        ...

    async def askers(self, since: Millis) -> list[Asker]:
        """Who has asked at other servers since a time."""
        ...
