"""What a store is: it saves what the domain decides, and reads. It knows no rules."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from orchestrator.domain.operations import Submission
from orchestrator.domain.outcomes import Decision
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis

if TYPE_CHECKING:
    from orchestrator.store.reads import Reads


class FeedEvent(Struct, frozen=True):
    """A row of the feed; `data` is JSON."""

    id: int
    at: Millis
    type: str
    task_id: int
    path: str
    host: str
    status: str | None
    data: str


class Commit(Struct, frozen=True):
    """A batch that is on disk: its time, a decision per submission, its events.

    `next_due`: when the next task or lease is due; `leases`: whether any lease is live.
    """

    now: Millis
    decisions: list[Decision]
    events: list[FeedEvent]
    next_due: Millis | None
    leases: bool


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

    async def close(self) -> None:
        """Let go of the database."""
        ...
