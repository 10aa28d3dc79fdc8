"""A statement for one row as a statement for many: one way to the server instead of one a row."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

_TABLE: Final = re.compile(r"^(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")
_INSERT: Final = re.compile(r"^INSERT INTO \w+ \(([^)]*)\) VALUES \([?, ]*\)")
_ASSIGNED: Final = re.compile(r"(\w+) ([=+]) \?(\d*)")
_KEY: Final = re.compile(r" WHERE (\w+) = r\.(p\d+)")
_RECORD: Final = re.compile(r"AS r \(([^)]*)\)")
_encode: Final = msgspec.json.Encoder().encode


class SetStatement(NamedTuple):
    """Takes its rows as one JSON list of objects with these names, and perhaps the values of one of them as an array."""

    text: str
    names: tuple[str, ...]
    key: int | None = None

    def params(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """The parameters for rows of values."""
        payload = self.payload(rows)
        return [payload] if self.key is None else [payload, list({row[self.key] for row in rows})]

    def payload(self, rows: Sequence[Sequence[Any]]) -> str:
        """The parameter for rows of values; flags become 0 or 1, what is left out is null."""
        return _encode([self._object(row) for row in rows]).decode()

    def _object(self, row: Sequence[Any]) -> dict[str, Any]:
        pairs = zip(self.names, row, strict=True)
        return {name: +value if value.__class__ is bool else value for name, value in pairs if value is not None}


def set_statement(query: str, types: Mapping[str, str]) -> SetStatement:
    """The set form of an INSERT, UPDATE or DELETE in which every `?` stands for a column; `types` by table.column.

    A query that takes a JSON list as `AS r (name type, ...)` already is one.
    """
    if record := _RECORD.search(query):
        return SetStatement(query.replace("?", "$1"), tuple(column.split()[0] for column in record[1].split(",")))
    table = _TABLE.match(query)
    if table is None:
        raise ValueError(query)
    if inserted := _INSERT.match(query):
        columns = [column.strip() for column in inserted[1].split(",")]
        values = ", ".join(f"r.p{at}" for at in range(1, len(columns) + 1))
        record_of = _record(table[1], dict(enumerate(columns, 1)), types)
        text = f"INSERT INTO {table[1]} ({inserted[1]}) SELECT {values} FROM {record_of}{query[inserted.end() :]}"
        return SetStatement(text, tuple(f"p{at}" for at in range(1, len(columns) + 1)))
    return _changing(query, table[1], types)


def _changing(query: str, table: str, types: Mapping[str, str]) -> SetStatement:
    columns: dict[int, str] = {}

    def number(mark: re.Match[str]) -> str:
        at = int(mark[3]) if mark[3] else len(columns) + 1
        columns[at] = mark[1]
        return f"{mark[1]} {mark[2]} r.p{at}"

    text = _ASSIGNED.sub(number, query)
    record = _record(table, columns, types)
    if query.startswith("DELETE"):
        text = text.replace(" WHERE ", f" USING {record} WHERE ", 1)
    else:
        text = text.replace(" WHERE ", f" FROM {record} WHERE ", 1)
    names = tuple(f"p{at}" for at in sorted(columns))
    # The rows are found by this, even where the planner takes the table for empty and begins with it.
    key = _KEY.search(text)
    if key is None:
        raise ValueError(query)
    text += f" AND {key[1]} = ANY ($2::{types[f'{table}.{key[1]}']}[])"
    return SetStatement(text, names, names.index(key[2]))


def _record(table: str, columns: Mapping[int, str], types: Mapping[str, str]) -> str:
    typed = ", ".join(f"p{at} {types[f'{table}.{columns[at]}']}" for at in sorted(columns))
    return f"json_to_recordset($1) AS r ({typed})"
