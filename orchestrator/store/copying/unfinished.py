"""The mark of a copy that is not done: a database that has it is not served."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from orchestrator.store.protocol import DatabaseInUseError

COPYING: Final = "copying"
"""The key in `meta` under which an unfinished copy says how far it is."""


class UnfinishedCopyError(DatabaseInUseError):
    """The database holds a part of another one."""


class Source(Struct, frozen=True, kw_only=True):
    """Which database is copied, and how it stands; what is empty has never been served. `shown`: its address, no password."""

    shown: str
    epoch: str
    alive_at: str
    last_ids: Mapping[str, int]


class State(Struct, kw_only=True):
    """How far a copy is: `table`, after the row with the key `after`; no table: every row is there.

    `rows`: written by table; `mended`: of these, how many were changed to be storable.
    """

    source: Source
    table: str | None
    after: list[Any] | None = None
    rows: dict[str, int] = {}
    mended: dict[str, int] = {}

    def encoded(self) -> str:
        """As it is stored."""
        return msgspec.json.encode(self).decode()


def state_of(text: str) -> State:
    """A state as it was stored."""
    return msgspec.json.decode(text, type=State)


def refuse_unfinished(rows: Sequence[Sequence[Any]]) -> None:
    """Raise UnfinishedCopyError if there is a row with the value of `meta`'s COPYING."""
    for (text,) in rows:
        source = state_of(text).source.shown
        raise UnfinishedCopyError(
            f"the database holds an unfinished copy of {source}: run the same `orchestrator copy` again to finish it, "
            "or use another database"
        )
