"""The index of words goes on: what a server has read is put in, unless another one was quicker."""

from typing import Final

from msgspec.structs import replace

from orchestrator.domain.operation import Operation, Phase
from orchestrator.domain.outcomes import Decision, Done, Indexed
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Indexing, Kept
from orchestrator.domain.rules import Rules
from orchestrator.domain.world import World

ONLY: Final = 1
"""The id of the one row that says how far the index is."""


class Index(Operation, frozen=True, kw_only=True):
    """Put in the words of tasks (id, words with spaces between), read when the index was at `version`, and how far it is then."""

    phase = Phase.CHANGE
    version: int
    last_event: int
    unread: int
    words: tuple[tuple[int, str], ...] = ()

    @property
    def weight(self) -> int:
        """One row a task."""
        return max(1, len(self.words))


def index(op: Index, _by: Principal, world: World, _rules: Rules) -> Decision:
    """Put words in; when the index has gone on since they were read, they may be old, and nothing is done."""
    at = world.records.get(Indexing, ONLY)
    if at is None or at.version != op.version:
        return Decision(Done())
    after = replace(at, version=at.version + 1, last_event=op.last_event, unread=op.unread)
    return Decision(Done(1), [*(Indexed(task_id, words) for task_id, words in op.words), Kept(after)])
