"""Pages of lists: as the store found them, or of those in which a cursor says how many come before."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from msgspec import UNSET

from orchestrator.store.reads.tasks import refuse_both
from orchestrator.store.reads.values import COUNTED, Listing, cursor_at, place_of
from worker_client.contract.envelope import Page
from worker_client.contract.request import Paged
from worker_client.contract.tasks import ListTasks
from worker_client.errors import ValidationFailed

T = TypeVar("T")

_KIND: Final = "p"
_MOST: Final = 2**31


def listed(found: Listing[Any], query: Paged | ListTasks, items: Sequence[Any] | None = None) -> Page[Any]:
    """The page that the store found; `items`: its items as they are shown, when that is otherwise."""
    return Page(
        items=list(found.items if items is None else items),
        total=found.total,
        total_exact=found.total_exact,
        limit=query.limit,
        offset=query.offset,
        next_cursor=found.next_cursor,
        unsearched=found.unread or UNSET,
    )


def place(query: Paged) -> int:
    """How many items come before the page that is asked for. Raises ValidationFailed for a bad cursor."""
    refuse_both(query.cursor, query.offset)
    if query.cursor is None:
        return query.offset
    _, before = place_of(query.cursor, _KIND)
    if before > _MOST:
        raise ValidationFailed(f"{query.cursor!r} leads nowhere: send `next_cursor` of the page before", field="cursor")
    return before


def page(items: Sequence[T], query: Paged, *, total: int, total_exact: bool = True) -> Page[T]:
    """A page of `items`, which are those from `place` on: all that follow, or at least one more than asked for."""
    shown = list(items[: query.limit])
    before = place(query)
    cursor = cursor_at(f"{_KIND}{before + len(shown)}") if len(items) > len(shown) else None
    return Page(items=shown, total=total, total_exact=total_exact, limit=query.limit, offset=query.offset, next_cursor=cursor)


def part(everything: Sequence[Any], query: Paged) -> Page[Any]:
    """A page of a list that is here as a whole."""
    total = min(len(everything), COUNTED)
    return page(everything[place(query) :], query, total=total, total_exact=total == len(everything))
