"""What columns hold, as the contract shows it; and the cursors of lists."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from orchestrator.store.reads.dialect import Dialect
from orchestrator.telemetry.metrics import READ_SECONDS, Histogram
from worker_client.contract.enums import Priority
from worker_client.contract.reports import TaskError, Usage
from worker_client.errors import ValidationFailed

T = TypeVar("T")
Fetch = Callable[[str, Sequence[Any]], Awaitable[list[tuple[Any, ...]]]]
"""SQL with ? placeholders and their values -> rows; one hop to a connection that reads."""
COUNTED: Final = 10_000
"""Lists count no further."""
PRIORITIES: Final = tuple(Priority)
"""By the number that a column holds."""

_usage = msgspec.json.Decoder(Usage | None)
_error = msgspec.json.Decoder(TaskError | None)


class Listing(Struct, Generic[T], kw_only=True):
    """A part of a list; `total` is counted up to 10,000, past that `total_exact` is false.

    `unread`: what has an id up to this one was not searched, as the index of words doesn't know it yet.
    """

    items: list[T]
    total: int
    total_exact: bool = True
    next_cursor: str | None = None
    unread: int = 0


def timed(fetch: Fetch, seconds: Histogram) -> Fetch:
    """The same way to fetch rows, with its time measured."""

    async def measured(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        started = perf_counter()
        try:
            return await fetch(sql, params)
        finally:
            seconds.observe(perf_counter() - started)

    return measured


class Reading:
    """Base of the queries: how rows are fetched, and from what; `seconds`: how long that took."""

    def __init__(self, fetch: Fetch, dialect: Dialect) -> None:
        self.seconds = Histogram(READ_SECONDS)
        self._fetch = timed(fetch, self.seconds)
        self._dialect = dialect
        self._sql = dialect.queries()


def usage_of(text: str | None) -> Usage | None:
    """The usage that a column holds."""
    return None if text is None else _usage.decode(text)


def error_of(text: str | None) -> TaskError | None:
    """The error that a column holds."""
    return None if text is None else _error.decode(text)


def cursor_at(place: str) -> str:
    """The opaque form of a place in a list."""
    return urlsafe_b64encode(place.encode()).decode().rstrip("=")


_DIGITS = len(str(2**63 - 1))
"""Longer numbers are ids of no row, and more than SQLite can compare with."""


def place_of(cursor: str, kinds: str) -> tuple[str, int]:
    """The place that a cursor stands for: one of the letters `kinds`, and an id. Raises ValidationFailed."""
    try:
        place = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        place = ""
    kind, number = place[:1], place[1:]
    if kind and kind in kinds and number.isdecimal() and len(number) < _DIGITS:
        return kind, int(number)
    raise ValidationFailed(
        f"{cursor[:100]!r} is no cursor of this list; send `next_cursor` of the page before, or none for the first page",
        field="cursor",
    )


def total_of(counted: int) -> tuple[int, bool]:
    """What a count that stopped after COUNTED + 1 says: the total, and whether it is exact."""
    return min(counted, COUNTED), counted <= COUNTED
