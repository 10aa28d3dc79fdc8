"""What a transaction needs of a database connection."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from orchestrator.store.rows import Row


class StaleRowError(Exception):
    """A row changed between load and save, which only another writer can do: the batch is rolled back and run again."""


class Session(Protocol):
    """A connection within a transaction."""

    def fetch(self, query: str, *params: Any) -> list[Row]:
        """The rows of a query."""
        ...

    def ask(self, query: str, *params: Any) -> Callable[[], list[Row]]:
        """The rows of a query, for later: what is asked before the first answer is taken may travel together."""
        ...

    def many(self, query: str, rows: Sequence[Sequence[Any]], *, exactly: bool = False) -> None:
        """Run a statement for each row; `exactly`: raise StaleRowError, sooner or later, unless each changes one row."""
        ...

    def listed(self, values: Iterable[Any]) -> Any:
        """A list as this dialect takes it as one parameter."""
        ...

    def spaced(self, words: str) -> str:
        """Words with spaces between as this dialect takes them into its index."""
        ...

    def task_id(self) -> int:
        """The next id of a task, never used before."""
        ...

    def record_id(self, table: str) -> int:
        """The next id of a row of a table, never used before."""
        ...

    def add_events(self, query: str, rows: Sequence[Sequence[Any]]) -> Callable[[], list[int]]:
        """Add rows to the feed; their ids, for later, in the order of commits."""
        ...
