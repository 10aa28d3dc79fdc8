"""Rows and Structs: the columns of a task in order, and how they become what the domain works with."""

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import is_not
from typing import Any

import msgspec
from msgspec.structs import astuple

from orchestrator.domain.credential import Credential
from orchestrator.domain.holders import Account, Drain
from orchestrator.domain.record import Record
from orchestrator.domain.records import RECORDS, R
from orchestrator.domain.source import Settings
from orchestrator.domain.task import DirectorySetting, Head, Inputs, Outputs, TaskView
from worker_client.contract.enums import Status

Row = Sequence[Any]

HEAD_FIELDS = Head.__struct_fields__
INPUT_FIELDS = Inputs.__struct_fields__
OUTPUT_FIELDS = Outputs.__struct_fields__
KEY_FIELDS = Credential.__struct_fields__
SETTING_FIELDS = DirectorySetting.__struct_fields__
SETTING_COLUMNS = ", ".join(f"d.{name}" for name in SETTING_FIELDS)
ACCOUNT_FIELDS = Account.__struct_fields__
ACCOUNT_COLUMNS = ", ".join(f"a.{name}" for name in ACCOUNT_FIELDS)
KEY_COLUMNS = ", ".join(f"k.{name}" for name in KEY_FIELDS)
HEAD_COLUMNS = ", ".join(f"t.{name}" for name in HEAD_FIELDS)
VIEW_COLUMNS = ", ".join(
    [f"t.{name}" for name in HEAD_FIELDS] + [f"i.{name}" for name in INPUT_FIELDS] + [f"o.{name}" for name in OUTPUT_FIELDS]
)
_CUT = frozenset({"prompt", "description", "answer"})
_LEFT_OUT = {
    **dict.fromkeys(("spec", "checkpoint", "result"), "NULL"),
    **dict.fromkeys(("environment", "resource_limits", "metadata"), "'{}'"),
}
EXCERPT_COLUMNS = ", ".join(
    f"substr({table}.{name}, 1, CAST(? AS INTEGER))" if name in _CUT else _LEFT_OUT.get(name, f"{table}.{name}")
    for table, names in (("t", HEAD_FIELDS), ("i", INPUT_FIELDS), ("o", OUTPUT_FIELDS))
    for name in names
)
"""VIEW_COLUMNS without what is long; the placeholders take the characters that are left of a text."""
CUTS = EXCERPT_COLUMNS.count("?")
VIEW_TABLES = "tasks t JOIN task_inputs i ON i.task_id = t.id LEFT JOIN task_outputs o ON o.task_id = t.id"

_TAGS = HEAD_FIELDS.index("tags")
_STATUS = HEAD_FIELDS.index("status")
_HEAD = len(HEAD_FIELDS)
_POSITIONS = range(_HEAD)
_INPUTS = _HEAD + len(INPUT_FIELDS)
_STATUSES = {str(status): status for status in Status}
_LISTS = tuple(KEY_FIELDS.index(name) for name in ("scopes", "paths", "secrets"))
_DISABLED = KEY_FIELDS.index("disabled")
_tags = msgspec.json.Decoder(tuple[str, ...])
_encode = msgspec.json.Encoder().encode


def head_of(row: Row) -> Head:
    """A head from its columns."""
    fields = list(row[:_HEAD])
    fields[_TAGS] = () if fields[_TAGS] == "[]" else _tags.decode(fields[_TAGS])
    fields[_STATUS] = _STATUSES[fields[_STATUS]]
    return Head(*fields)


def row_of(head: Head) -> list[Any]:
    """The columns of a head."""
    fields: list[Any] = list(astuple(head))
    fields[_TAGS] = "[]" if not head.tags else _encode(head.tags).decode()
    # A plain str is bound as it is, for an enum an adapter would be looked for.
    fields[_STATUS] = str(head.status)
    return fields


def changed(before: Head, after: Head) -> tuple[int, ...]:
    """The positions of the columns that differ; a field that a rule left alone is the same object."""
    return tuple(compress(_POSITIONS, map(is_not, astuple(before), astuple(after))))


def inputs_of(row: Row) -> Inputs:
    """Inputs from their columns."""
    return Inputs(*row)


def outputs_of(row: Row) -> Outputs:
    """Outputs from their columns; all None when the task has none."""
    return Outputs(*row)


def view_of(row: Row) -> TaskView:
    """A whole task from VIEW_COLUMNS."""
    return TaskView(head_of(row), inputs_of(row[_HEAD:_INPUTS]), outputs_of(row[_INPUTS:]))


def setting_of(row: Row) -> DirectorySetting:
    """What was set for a directory, from SETTING_COLUMNS."""
    fields: dict[str, Any] = dict(zip(SETTING_FIELDS, row, strict=True))
    return DirectorySetting(**fields | {"paused": bool(fields["paused"])})


def settings_of(rows: Iterable[Row]) -> Settings:
    """What was set for directories."""
    return {(setting.path, setting.host): setting for setting in map(setting_of, rows)}


def account_of(row: Row) -> Account:
    """An account from ACCOUNT_COLUMNS."""
    scope, account, paths, held_until, reason, at = row
    return Account(
        scope=scope, account=account, paths=_paths_of(paths), held_until=held_until, reason=reason, updated_at=at
    )  # fmt: skip


def row_of_account(account: Account) -> list[Any]:
    """The ACCOUNT_FIELDS of an account."""
    scope, name, paths, *rest = astuple(account)
    return [scope, name, _paths(paths), *rest]


def drain_of(row: Row) -> Drain:
    """A worker that is to drain, from its columns."""
    worker_id, scope, paths, reason, since = row
    return Drain(worker_id=worker_id, scope=scope, paths=_paths_of(paths), reason=reason, since=since)


def row_of_drain(drain: Drain) -> list[Any]:
    """The columns of a worker that is to drain."""
    return [drain.worker_id, drain.scope, _paths(drain.paths), drain.reason, drain.since]


def _paths_of(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else _tags.decode(text)


def _paths(paths: tuple[str, ...] | None) -> str | None:
    return None if paths is None else _encode(paths).decode()


RECORD_COLUMNS = {of.TABLE: ", ".join(f"r.{name}" for name in of.__struct_fields__) for of in RECORDS}
"""The columns of a record, as `r`, by its table."""
_FLAGS = {of: [field.name for field in msgspec.structs.fields(of) if field.type is bool] for of in RECORDS}


def record_of(of: type[R], row: Row) -> R:
    """A record from its RECORD_COLUMNS."""
    fields: dict[str, Any] = dict(zip(of.__struct_fields__, row, strict=True))
    return of(**fields | {name: bool(fields[name]) for name in _FLAGS[of]})


def record_changes(before: Record, after: Record) -> tuple[str, ...]:
    """The columns that differ."""
    return tuple(name for name in after.__struct_fields__ if getattr(before, name) != getattr(after, name))


def credential_of(row: Row) -> Credential:
    """A key from KEY_COLUMNS."""
    fields: dict[str, Any] = dict(zip(KEY_FIELDS, row, strict=False))
    for at in _LISTS:
        fields[KEY_FIELDS[at]] = None if row[at] is None else _tags.decode(row[at])
    return Credential(**fields | {"disabled": bool(row[_DISABLED])})


def row_of_key(credential: Credential) -> list[Any]:
    """The KEY_FIELDS of a key."""
    fields: list[Any] = list(astuple(credential))
    for at in _LISTS:
        fields[at] = None if fields[at] is None else _encode(fields[at]).decode()
    return fields
