"""One end of a copy: a database that nobody else uses meanwhile."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from orchestrator.store.copying.tables import KEYS
from worker_client.errors import OrchestratorError


class CopyFailedError(OrchestratorError):
    """A database refused something; what was copied by then stays, and the copy can be gone on with."""


class End(ABC):
    """`shown`: the address without a password. Its methods raise CopyFailedError."""

    holds_nul: ClassVar[bool]
    """Whether text may contain NUL."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    # Reading

    @abstractmethod
    def refuse_newer(self) -> None:
        """Raise NewerSchemaError if a later version has changed the tables, of which this one would leave something out."""

    @abstractmethod
    def columns(self, table: str) -> list[str]:
        """The columns of a table; none when there is no such table."""

    @abstractmethod
    def read(self, query: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query as they come, of one query at a time; all at once they might not fit."""

    @abstractmethod
    def fetch(self, query: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The few rows of a query."""

    @abstractmethod
    def last_ids(self) -> dict[str, int]:
        """The highest id that each of the NUMBERED tables ever gave out."""

    def rows(self, table: str, columns: Sequence[str], after: Sequence[Any] | None = None) -> Iterator[tuple[Any, ...]]:
        """The rows of a table in the order of their keys, from the one behind `after` on."""
        key = ", ".join(KEYS[table])
        where = f"WHERE ({key}) > ({', '.join('?' * len(after))}) " if after is not None else ""
        return self.read(f"SELECT {', '.join(columns)} FROM {table} {where}ORDER BY {key}", after or ())

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        return {table: self.fetch(f"SELECT count(*) FROM {table}")[0][0] for table in KEYS}

    def meta(self) -> dict[str, str]:
        """What is kept under single names."""
        return dict(self.fetch("SELECT key, value FROM meta"))

    # Writing

    @abstractmethod
    def put(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], meta: Mapping[str, str]) -> None:
        """Add rows and set `meta`, in one transaction."""

    @abstractmethod
    def conclude(self, meta: Mapping[str, str], last_ids: Mapping[str, int]) -> None:
        """Make it a database to be served, in one transaction: `meta` is all that there is of it, ids go on past `last_ids`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""
