"""Has tests begin with a database that an earlier release left, in place of a new one.

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

from orchestrator import __version__
from orchestrator.settings import Database
from orchestrator.store import choice
from orchestrator.store.copying.tables import KEYS
from orchestrator.store.schema import MIGRATED_BY
from tests.upgrading.dumps import connected, fill_postgres, write_sqlite

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
_OWN: Final = (
    "DELETE FROM meta",
    f"INSERT INTO meta (key, value) VALUES ('{MIGRATED_BY}', '{__version__}')",  # noqa: S608 - both are ours
)
"""A release whose schema is this one's did not write who brought it up to date."""
_TABLES: Final = (
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('_migrations', 'meta', 'task_index')"
)
POSTGRES_KIND: Final = f"upgraded_{FROM.replace('.', '_')}_{'keeps' if KEEPS else 'emptied'}" if FROM else "new"
"""What the databases of PostgreSQL are copies of, in a word."""


@cache
def _upgraded() -> Path:
    """The file, brought up to date; once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-upgraded-"))
    atexit.register(shutil.rmtree, folder)
    url = write_sqlite(FROM, folder / "queue.db")
    choice.migrate(Database(url=url))
    clear_sqlite(url, keeps=KEEPS)
    return folder / "queue.db"


def copied(to: Path) -> None:
    """A copy of the SQLite file, where there is none yet."""
    if FROM and not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_upgraded(), to)


def fill(url: str) -> None:
    """Make a PostgreSQL database without a table one to begin with; nobody is connected to it after that."""
    if FROM:
        fill_postgres(FROM, url)
    choice.migrate(Database(url=url))
    if FROM:
        clear_postgres(url, keeps=KEEPS)


def clear_sqlite(url: str, *, keeps: bool = False) -> None:
    """Leave no row but those of the index of words, and begin numbers anew; or take away only what would stir."""
    tables = [f"DELETE FROM {table}" for table in reversed([*KEYS, "sqlite_sequence"])]  # noqa: S608 - names are ours
    empty = [*tables, "INSERT INTO task_words (task_words) VALUES ('delete-all')", _UNREAD, *_OWN]
    with connected(url) as connection:
        for statement in ("PRAGMA foreign_keys = ON", *(_STILL if keeps else empty)):
            connection.execute(statement)


def clear_postgres(url: str, *, keeps: bool = False) -> None:
    """The same in PostgreSQL, where leases stand in a table of their own."""
    with connected(url) as connection:
        tables = ", ".join(sorted(name for (name,) in connection.execute(_TABLES)))
        empty = (f"TRUNCATE {tables} RESTART IDENTITY", _UNREAD, *_OWN)
        for statement in (*_STILL, "DELETE FROM leases") if keeps else empty:
            connection.execute(statement)
