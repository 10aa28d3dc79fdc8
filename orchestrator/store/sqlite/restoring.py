"""What makes a backup a database of its own, when it is served for the first time."""

from collections.abc import Callable
from typing import Final

from orchestrator.domain.task import Millis
from orchestrator.store.copying.tables import NUMBERED
from orchestrator.store.rows import Row

BACKUP: Final = "backup"
"""The key in `meta` under which a backup that was never served says until when it knows what was given out, in milliseconds."""
RESTORED: Final = "restored"
"""The key under which it says so afterwards."""
_LEAST: Final = 1_000_000
_PER_SECOND: Final = 1_000
"""Numbers that somebody may have been given since the backup are not given again: more than a server can give out so long."""


def renumber(execute: Callable[..., list[Row]], at: Millis, now: Millis) -> None:
    """Have ids, lease numbers and versions go on past all that can have been given out since a backup was made.

    Who still holds one of those is then refused, and not taken for somebody else.
    """
    skipped = _LEAST + _PER_SECOND * max(0, now - at) // 1000
    for table in NUMBERED:
        execute("INSERT INTO sqlite_sequence (name, seq) SELECT ?1, 0 WHERE ?1 NOT IN (SELECT name FROM sqlite_sequence)", table)
        execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ?", skipped, table)
    execute("UPDATE tasks SET lease_no = lease_no + ?1, version = version + ?1", _LEAST)
    execute("DELETE FROM meta WHERE key = ?", BACKUP)
    execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", RESTORED, str(at))
