"""What of a database is compared before and after: its schema, and every row of every table."""

import subprocess
from typing import Any, Final

from tests import postgres
from tests.upgrading.dumps import connected
from tests.upgrading.loading import columns

_OWN: Final = {"_migrations", "_sqlite_migrations", "meta", "sqlite_sequence", "askers"}
"""What is about the database, and not about its tasks."""
_TABLES: Final = {
    "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'task_words%'",
    "postgres": "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
}


def kind(url: str) -> str:
    """Which kind of store is at an address."""
    return "sqlite" if url.startswith("sqlite") else "postgres"


def schema(url: str) -> Any:
    """Tables, indexes, constraints, defaults, functions: all that is not a row."""
    if kind(url) == "postgres":
        line = [postgres.program("pg_dump"), "--schema-only", "--no-owner", url]
        dump = subprocess.run(line, check=True, capture_output=True, text=True).stdout
        return [text for text in dump.splitlines() if text and not text.startswith(("--", "\\"))]
    with connected(url) as connection:
        facts = [connection.execute(f"PRAGMA {name}").fetchone() for name in ("auto_vacuum", "journal_mode", "encoding")]
        query = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
        return [*facts, *connection.execute(query)]


class Rows:
    """All rows of a database as they are now, in those columns that there are now."""

    def __init__(self, url: str) -> None:
        with connected(url) as connection:
            tables = {name for (name,) in connection.execute(_TABLES[kind(url)])} - _OWN
            self._columns = {table: columns(connection, kind(url), table) for table in sorted(tables)}
        self._sums = self._summed(url)

    def changed(self, url: str) -> list[str]:
        """The tables in which a row of them is gone, is different, or has come."""
        now = self._summed(url)
        return [table for table, found in self._sums.items() if now[table] != found]

    def __len__(self) -> int:
        return sum(found[0] for found in self._sums.values())

    def _summed(self, url: str) -> dict[str, tuple[int, ...]]:
        with connected(url) as connection:
            if kind(url) == "sqlite":
                connection.create_function("hashed", -1, lambda *cells: hash(cells) & 0xFFFFFFFFFF, deterministic=True)
                query = "SELECT count(*), sum(hashed({})) FROM {}"
            else:
                query = "SELECT count(*), sum(hashtextextended(row({})::text, 0)) FROM {}"
            return {
                table: tuple(connection.execute(query.format(", ".join(names), table)).fetchone())
                for table, names in self._columns.items()
            }
