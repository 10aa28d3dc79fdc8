"""What a database says in its own way where people ask: all that differs between the queries for one and for the other."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from orchestrator.domain.words import CHARACTERS, Phrase
from orchestrator.store.sql import queries

_MARK: Final = re.compile(r"\{(each|order|part) ([^}]+)\}")


class Matching(NamedTuple):
    """How an index of words is asked: a phrase, what stands between its words, after a beginning, and between phrases."""

    phrase: str
    between: str
    begins: str
    both: str
    either: str

    def asked(self, phrases: Iterable[Phrase], places: Iterable[Sequence[str]]) -> str:
        """For all the phrases, and of each of the places for one of its words."""
        parts = [self._part(phrase) for phrase in phrases]
        parts += [f"({self.either.join(map(self.phrase.format, words))})" for words in places if words]
        return self.both.join(parts)

    def _part(self, phrase: Phrase) -> str:
        return self.phrase.format(self.between.join(phrase.words)) + (self.begins if phrase.begins else "")


class Dialect(Struct, frozen=True):
    """The words of a database; in templates `{}` is what they are about.

    `named`: the file of the named queries that differ. `using`: after a table, the index that finds its rows; `by_id`: that
    none does, rows are walked by id. `orders`: the id of a task (t) as an index orders it, `unordered` where none should.
    `each`: the members of a JSON list in text, as rows with a `value`; `bytewise`: a text that is compared byte by byte.
    `like`: matches whatever the case of ASCII letters. `matching`: of the index of words, which is `ordered` by tasks or not.
    """

    named: str
    using: str
    by_id: str
    orders: Mapping[str, str]
    unordered: str
    each: str
    bytewise: str
    like: str
    matching: Matching
    ordered: bool

    def queries(self) -> Mapping[str, str]:
        """The named queries, with `{each ?1}`, `{order index}` and `{part column text}` filled in."""
        return {name: _MARK.sub(self._word, text) for name, text in queries("reads", self.named).items()}

    def _word(self, mark: re.Match[str]) -> str:
        match mark[1]:
            case "each":
                return self.each.format(mark[2])
            case "part":
                column, text = mark[2].split()
                return f"substr({column}, 1, {CHARACTERS[text]})"
            case _:
                return self.order(mark[2])

    def order(self, index: str) -> str:
        """What to order by, so that tasks come in the order of ids, found by the index."""
        return self.orders.get(index, self.unordered)


SQLITE: Final = Dialect(
    named="reads_sqlite",
    using="INDEXED BY {}",
    by_id="NOT INDEXED",
    orders={},
    unordered="t.id",
    each="json_each({})",
    bytewise="{}",
    like="LIKE",
    matching=Matching('"{}"', " ", " *", " AND ", " OR "),
    ordered=True,
)
POSTGRES: Final = Dialect(
    named="reads_postgres",
    using="",
    by_id="",
    # As migrations/postgres has them: the order that is asked for tells which index is meant.
    orders={
        "tasks_unfinished": "(t.id + 0)",
        "tasks_directory": "(t.id - 0)",
        "tasks_schedule": "(t.id * 1)",
        "tasks_run": "(t.id / 1)",
    },
    unordered="+t.id",
    each="json_array_elements_text({}::json)",
    bytewise='({} COLLATE "C")',
    like="ILIKE",
    matching=Matching("'{}'", "' <-> '", ":*", " & ", " | "),
    ordered=False,
)
