"""The saving of records: each is inserted, brought up to date or removed by its key, and by its version where it has one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from orchestrator.domain.record import Record
from orchestrator.domain.records import RECORDS
from orchestrator.store.rows import record_changes
from orchestrator.store.session import Session

RecordKey = tuple[type[Record], tuple[Any, ...]]
_ORDER = {of: place for place, of in enumerate(RECORDS)}
"""What is referred to comes first."""


def save_records(session: Session, changed: Mapping[RecordKey, Record | None], known: dict[RecordKey, Record]) -> None:
    """Write records as they are now (None: gone). `known`: as in the database, which this brings up to date."""
    rows: defaultdict[str, list[Sequence[Any]]] = defaultdict(list)
    for (of, key), record in sorted(changed.items(), key=lambda item: _ORDER[item[0][0]]):
        before = known.get((of, key))
        if record is None:
            if before is not None:
                rows[_delete(of)].append(_found(before))
                del known[of, key]
            continue
        if before is None:
            rows[_insert(of)].append(tuple(getattr(record, name) for name in of.__struct_fields__))
        elif columns := record_changes(before, record):
            rows[_update(of, columns)].append((*(getattr(record, name) for name in columns), *_found(before)))
        known[of, key] = record
    for statement, values in rows.items():
        session.many(statement, values, exactly=True)


def _guards(of: type[Record]) -> tuple[str, ...]:
    return (*of.KEY, "version") if "version" in of.__struct_fields__ else of.KEY


def _found(record: Record) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in _guards(type(record)))


@cache
def _where(of: type[Record]) -> str:
    return " AND ".join(f"{name} = ?" for name in _guards(of))


@cache
def _insert(of: type[Record]) -> str:
    names = of.__struct_fields__
    return f"INSERT INTO {of.TABLE} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


@cache
def _update(of: type[Record], columns: tuple[str, ...]) -> str:
    return f"UPDATE {of.TABLE} SET {', '.join(f'{name} = ?' for name in columns)} WHERE {_where(of)}"


@cache
def _delete(of: type[Record]) -> str:
    return f"DELETE FROM {of.TABLE} WHERE {_where(of)}"
