"""What a database says in its own way where people ask: all that differs between the queries for one and for the other."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from orchestrator.store.sql import queries

_MARK: Final = re.compile(r"\{(\w+)(?: (\?\d+))?\}")


class Dialect(Struct, frozen=True):
    """The words of a database; in templates `{}` is what they are about.

    `named`: the file of the named queries that differ. `using`: after a table, the index that finds its rows; `by_id`: that
    none does, rows are walked by id. `ordered_id`: a task's id as those indexes order it. `each`: the members of a JSON list
    in text, as rows with a `value`. `like`: matches regardless of the case of ASCII letters alone.
    """

    named: str
    using: str
    by_id: str
    ordered_id: str
    each: str
    like: str

    def queries(self) -> Mapping[str, str]:
        """The named queries, with `{each ?1}` and `{ordered_id}` filled in."""
        return {name: _MARK.sub(self._word, text) for name, text in queries("reads", self.named).items()}

    def _word(self, mark: re.Match[str]) -> str:
        word: str = getattr(self, mark[1])
        return word.format(mark[2])


SQLITE: Final = Dialect(
    named="reads_sqlite",
    using="INDEXED BY {}",
    by_id="NOT INDEXED",
    ordered_id="t.id",
    each="json_each({})",
    like="LIKE",
)
POSTGRES: Final = Dialect(
    named="reads_postgres",
    using="",
    by_id="",
    # As migrations/postgres has it in the indexes of lists: whose order is asked for is the index that is used.
    ordered_id="(t.id + 0)",
    each="json_array_elements_text({}::json)",
    like="ILIKE",
)
