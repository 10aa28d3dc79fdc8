"""Changes as rows of a table for spreadsheets."""

from typing import Any, Final

import msgspec

from worker_client.contract.audit import AuditEntry

COLUMNS: Final = AuditEntry.__struct_fields__
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def row(entry: AuditEntry) -> list[Any]:
    """The cells of a change, its data as JSON."""
    cells = [*msgspec.to_builtins(entry).values()]
    cells[-1] = msgspec.json.encode(entry.data).decode()
    # Programs for spreadsheets take what begins like this for a formula, and somebody else has chosen the words.
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in cells]
