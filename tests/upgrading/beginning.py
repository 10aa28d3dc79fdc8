"""Has tests begin with a SQLite file that an earlier release left, in place of a new one.

APP_TEST_UPGRADED_FROM names the release. The database is brought up to date, then emptied: what is tested is what it has become.
With APP_TEST_UPGRADED_KEEPS=1 its tasks stay that are over or held for a person, in directories that no test asks for, and ids go
on after them: for those tests that don't count all there is.
"""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from orchestrator.settings import Database
from orchestrator.store import choice
from orchestrator.store.copying.tables import KEYS
from tests.upgrading.loading import connected, load

FROM: Final = os.environ.get("APP_TEST_UPGRADED_FROM", "")
KEEPS: Final = os.environ.get("APP_TEST_UPGRADED_KEEPS", "") == "1"
_STILL: Final = (
    "DELETE FROM tasks WHERE status IN ('waiting', 'scheduled', 'blocked', 'running') OR hold_until IS NOT NULL",
    (
        "UPDATE task_counts SET n = (SELECT count(*) FROM tasks t WHERE t.path = task_counts.path AND t.host = task_counts.host "
        "AND t.status = task_counts.status AND t.priority = task_counts.priority)"
    ),
)
"""What waits for a time or a lease is taken away: it would stir while a test looks."""
_UNREAD: Final = "UPDATE task_index SET version = 1, last_event = 0, unread = 0"
_OWN: Final = "DELETE FROM meta WHERE key <> 'migrated_by'"


@cache
def _upgraded() -> Path:
    """The file, brought up to date; once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-upgraded-"))
    atexit.register(shutil.rmtree, folder)
    url = load(FROM, "sqlite", folder)
    choice.migrate(Database(url=url))
    with connected(url) as connection:
        for statement in ("PRAGMA foreign_keys = ON", *(_STILL if KEEPS else _emptying())):
            connection.execute(statement)
    return folder / "queue.db"


def copied(to: Path) -> None:
    """A copy of the SQLite file, where there is none yet."""
    if FROM and not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_upgraded(), to)


def _emptying() -> list[str]:
    """Without a row but those of the index of words, and numbers begin anew."""
    found = [f"DELETE FROM {table}" for table in reversed([*KEYS, "sqlite_sequence"])]  # noqa: S608 - names are ours
    return [*found, "INSERT INTO task_words (task_words) VALUES ('delete-all')", _UNREAD, _OWN]
