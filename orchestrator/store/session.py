"""What a transaction needs of a database connection."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from orchestrator.store.rows import Row


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
