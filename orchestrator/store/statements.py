"""The statements by which rows are saved, made for the columns that there is something to write in."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import compress, count, repeat
from operator import is_not, itemgetter
from typing import Any

from orchestrator.store.rows import HEAD_FIELDS, INPUT_FIELDS, OUTPUT_FIELDS

INPUT_COLUMNS = ("task_id", *INPUT_FIELDS)
OUTPUT_COLUMNS = ("task_id", *OUTPUT_FIELDS)


def by_what_they_hold(rows: Iterable[Sequence[Any]]) -> dict[tuple[int, ...], list[Sequence[Any]]]:
    """Rows without their NULLs, by the columns that are left: what is not written costs nothing."""
    found: defaultdict[tuple[int, ...], list[Sequence[Any]]] = defaultdict(list)
    for row in rows:
        columns = tuple(compress(count(), map(is_not, row, repeat(None))))
        found[columns].append(picker(columns)(row))
    return found


@cache
def insert_into(table: str, names: Sequence[str], columns: tuple[int, ...]) -> str:
    """The statement that adds rows of these columns."""
    return f"INSERT INTO {table} ({', '.join(names[at] for at in columns)}) VALUES ({', '.join('?' * len(columns))})"


@cache
def write_outputs(columns: tuple[int, ...]) -> str:
    """The statement that writes these outputs, and leaves the others."""
    changes = (f"{name} = excluded.{name}" for name in (OUTPUT_COLUMNS[at] for at in columns[1:]))
    return f"{insert_into('task_outputs', OUTPUT_COLUMNS, columns)} ON CONFLICT (task_id) DO UPDATE SET {', '.join(changes)}"


@cache
def update_tasks(columns: tuple[int, ...]) -> str:
    """Only what changed: a column that is set costs its indexes, too. There are as many kinds of change as rules."""
    return f"UPDATE tasks SET {', '.join(f'{HEAD_FIELDS[at]} = ?' for at in columns)} WHERE id = ? AND version = ?"


@cache
def picker(columns: tuple[int, ...]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Takes these columns, of which there are always some: a change raises the version and sets its time."""
    return itemgetter(*columns)


def known_input(column: str) -> str:
    """A column of inputs, and nothing else that somebody might have made of it."""
    if column not in INPUT_FIELDS:
        raise KeyError(column)
    return column
