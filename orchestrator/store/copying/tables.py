"""What is copied and in what order, and how rows are compared."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "tasks": ("id",),
    "task_inputs": ("task_id",),
    "task_outputs": ("task_id",),
    "dependencies": ("child_id", "parent_id"),
    "task_keys": ("scope", "key"),
    "attempts": ("id",),
    "task_logs": ("task_id", "number"),
    "events": ("id",),
    "directories": ("path", "host"),
    "api_keys": ("id",),
    "addresses": ("list", "network"),
    "accounts": ("scope", "account"),
    "drains": ("worker_id", "scope"),
    "schedules": ("id",),
    "fires": ("id",),
    "workflows": ("id",),
    "workflow_versions": ("workflow_id", "number"),
    "runs": ("id",),
    "run_steps": ("run_id", "step_id"),
    "deliveries": ("id",),
    "trigger_states": ("workflow_id", "place"),
    "consumers": ("name",),
    "notification_rules": ("id",),
    "notifications": ("id",),
    "task_counts": ("path", "host", "status", "priority"),
    "task_rates": ("minute", "path"),
    "task_durations": ("hour", "path", "bucket"),
    "task_usage": ("day", "path", "host", "model", "agent"),
    "tag_usage": ("day", "path", "tag"),
}
"""Every table that is copied with its primary key; what is referred to comes first."""
NUMBERED: Final = (
    "tasks",
    "attempts",
    "events",
    "schedules",
    "fires",
    "runs",
    "deliveries",
    "notification_rules",
    "notifications",
)
"""Tables whose ids the database gives out, and never twice."""
UNREAD: Final = """
    UPDATE task_index
    SET last_event = (SELECT coalesce(max(id), 0) FROM events), unread = (SELECT coalesce(max(id), 0) FROM tasks)
"""
"""An index of words is not copied: the tasks are put into the copy's own."""
_NUL: Final = b"\\u0000"

encoded: Final = msgspec.json.Encoder().encode
"""A row as bytes, the same ones whichever database it comes from."""


def mended(row: Sequence[Any], text: bytes) -> Sequence[Any]:
    """A row that was encoded as `text`, with U+FFFD for every NUL, which PostgreSQL has no place for."""
    if _NUL not in text:
        return row
    # It may also be the six characters of the escape, which are left alone.
    changed = tuple(cell.replace("\0", "\ufffd") if isinstance(cell, str) else cell for cell in row)
    return row if changed == tuple(row) else changed


class Checksum:
    """Of rows in any order, as databases may differ in it: the sum of a hash of each."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, text: bytes) -> None:
        """Count an encoded row."""
        self.rows += 1
        self._sum += int.from_bytes(blake2b(text, digest_size=16).digest())

    def __str__(self) -> str:
        return f"{self._sum % (1 << 128):032x}"
