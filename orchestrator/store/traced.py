"""A store whose transactions are told of in traces."""

from collections.abc import Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any, cast

from orchestrator.domain.operations import Submission
from orchestrator.domain.rules import Rules
from orchestrator.store.protocol import Commit, Store

if TYPE_CHECKING:
    from orchestrator.telemetry.traces import Traces


class _Traced:
    """In all else it is the store."""

    def __init__(self, store: Store, traces: "Traces") -> None:
        self._store = store
        self._traces = traces

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, batch: Sequence[Submission], rules: Rules) -> Commit:
        """The same, with its spans."""
        began = time_ns()
        commit = await self._store.commit(batch, rules)
        self._traces.committed(batch, commit.decisions, began)
        return commit


def traced(store: Store, traces: "Traces | None") -> Store:
    """The store, and spans of its transactions where there are traces."""
    return store if traces is None else cast("Store", _Traced(store, traces))
