"""Jobs as TimerJobs keeps or lists them: its SQLite file, or the answer of its list."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

_MAGIC: Final = b"SQLite format 3\0"
_NEEDED: Final = frozenset({"name", "cron_expr", "mode", "command"})
_DEEPEST: Final = 4


class UnreadableFile(Exception):
    """The file has no jobs that can be found; the message says why."""


class Jobs(Struct, frozen=True):
    """As they are there; `missing`: of more that the file itself speaks of."""

    rows: list[dict[str, Any]]
    missing: int = 0


def read(path: Path, table: str | None = None) -> Jobs:
    """All jobs of a file; `table`: of SQLite, where it is not to be found by its columns. Raises UnreadableFile."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
            content = b"" if start == _MAGIC else start + file.read()
    except OSError as error:
        raise UnreadableFile(f"{path} can't be read: {error.strerror}") from error
    return _from_database(path, table) if start == _MAGIC else _from_list(path, content)


def _from_database(path: Path, table: str | None) -> Jobs:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            database.text_factory = lambda text: text.decode(errors="replace")
            found = table or _table(database, path)
            # The name is one that the database itself has.
            quoted = found.replace('"', '""')
            return Jobs([dict(row) for row in database.execute(f'SELECT * FROM "{quoted}"')])  # noqa: S608 - quoted
    except sqlite3.Error as error:
        raise UnreadableFile(f"{path} can't be read: {error}") from error


def _table(database: sqlite3.Connection, path: Path) -> str:
    """The one whose columns are those of jobs."""
    tables = [str(row[0]) for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    columns = {
        name: {str(row[0]) for row in database.execute("SELECT name FROM pragma_table_info(?)", [name])} for name in tables
    }
    fitting = [name for name in tables if columns[name] >= _NEEDED]
    named = [name for name in fitting if name.lower().rpartition("_")[2] in {"job", "jobs"}]
    chosen = named if len(named) == 1 else fitting
    if not chosen:
        raise UnreadableFile(f"{path} has no table with the columns {', '.join(sorted(_NEEDED))}; it has: {', '.join(tables)}")
    if len(chosen) > 1:
        raise UnreadableFile(f"{path} has several tables of jobs: say which with --table; there are {', '.join(chosen)}")
    return chosen[0]


def _from_list(path: Path, content: bytes) -> Jobs:
    try:
        document = msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableFile(f"{path} is neither an SQLite file nor JSON: {error}") from error
    found = _listed(document, _DEEPEST)
    if found is None:
        raise UnreadableFile(f"{path} has no list of jobs: it should be the answer of /jobs/list, or an array of jobs")
    return found


def _listed(document: Any, depth: int) -> Jobs | None:
    """The array of jobs, wherever the answer has it; an empty one where there is no other."""
    if isinstance(document, list):
        fits = all(isinstance(one, dict) for one in document) and (not document or any("cron_expr" in one for one in document))
        return Jobs(document) if fits else None
    if not isinstance(document, dict) or not depth:
        return None
    found = [jobs for value in document.values() if (jobs := _listed(value, depth - 1)) is not None]
    if not found:
        return None
    most = max(found, key=lambda jobs: len(jobs.rows))
    totals = (document[name] for name in ("total", "count") if isinstance(document.get(name), int))
    return Jobs(most.rows, max(next(totals, 0) - len(most.rows), most.missing))
