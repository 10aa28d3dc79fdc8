"""`orchestrator db`: sqlite-utils' commands on the server's own file; while it is served, nothing can be written."""

import copy
import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import rich_click as click
from click import Argument, Command

from orchestrator.cli.configured import config_option, database_option, load
from orchestrator.cli.exits import Exit, fail

READS: Final = frozenset({"dump", "indexes", "rows", "schema", "search", "tables", "triggers", "views"})
"""These only ever read; they leave the file to whoever wants to serve it."""
EITHER: Final = frozenset({"analyze-tables", "query"})
"""These read or write, as they are told; SQLite itself refuses the writing while the file is served."""
ELSEWHERE: Final = frozenset(
    {"create-database", "disable-wal", "enable-wal", "install", "memory", "migrate", "plugins", "uninstall"}
)
"""These are not about this file, or would break it."""
PRAGMAS_THAT_READ: Final = frozenset(
    {"foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo", "integrity_check", "quick_check"}
    | {"recursive_triggers", "table_info", "table_list", "table_xinfo"}
)
"""With an argument, too; sqlite-utils sets recursive_triggers on its own connection."""
PRAGMAS_THAT_ACT: Final = frozenset({"incremental_vacuum", "optimize", "wal_checkpoint"})
"""Without an argument, too."""
_EXAMPLE: Final = re.compile(r"sqlite-utils ([a-z-]+) \S+\.db")


class Commands(click.RichGroup):
    """sqlite-utils' group without the file, which is known; loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click hands the context in
        """The commands on one file."""
        return sorted(self._mounted())

    def get_command(self, ctx: click.Context, cmd_name: str) -> Command | None:  # noqa: ARG002 - click hands the context in
        """A command, with the file filled in."""
        found = self._mounted().get(cmd_name)
        return None if found is None else _on_our_file(cmd_name, found)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """As for sqlite-utils, a statement alone is a query."""
        if args and " " in args[0]:
            args = ["query", *args]
        return super().resolve_command(ctx, args)

    def _mounted(self) -> dict[str, Command]:
        from sqlite_utils.cli import cli

        return {name: command for name, command in cli.commands.items() if name not in ELSEWHERE}


@click.group("db", cls=Commands)
@database_option
@config_option
@click.pass_context
def db(ctx: click.Context, database: str | None, config: Path | None) -> None:
    """Look into the database file with sqlite-utils.

    Read-only while a server has it: then only reading commands work.

    \b
        orchestrator db tables --counts
        orchestrator db rows tasks --limit 5
        orchestrator db "select status, count(*) from tasks group by 1"
    """  # noqa: D301 - click reads the mark itself
    ctx.obj = functools.partial(_path, database, config)


def _path(database: str | None, config: Path | None) -> Path:
    settings = load(config, database={"url": database}).database
    path = settings.path
    if path is None:
        fail(f"`orchestrator db` looks into SQLite files, and tasks are kept at {settings.shown}: use psql there", Exit.USAGE)
    if not path.is_file():
        fail(f"there is no database at {path}; `orchestrator serve` and `orchestrator migrate` make it, --database names another")
    return path


def _on_our_file(name: str, command: Command) -> Command:
    """A copy that no longer asks for the file."""
    mounted = copy.copy(command)
    file = next(param for param in command.params if isinstance(param, Argument))
    mounted.params = [param for param in command.params if param is not file]
    mounted.help = _EXAMPLE.sub(r"orchestrator db \1", command.help or "")
    original: Callable[..., Any] = command.callback or (lambda **_: None)

    @click.pass_context
    def run(ctx: click.Context, /, **options: Any) -> None:
        path: Path = ctx.obj()
        with _opened(path, name), _in_words(path):
            # Files are closed by sqlite-utils when the context of the original command ends.
            ctx.invoke(original, **{str(file.name): str(path)}, **options)

    mounted.callback = run
    return mounted


@contextmanager
def _opened(path: Path, name: str) -> Iterator[None]:
    """Own the file while a command may write to it; read-only when it only reads, or somebody else owns it."""
    from filelock import FileLock, Timeout

    if name in READS:
        with _read_only():
            yield
        return
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if name not in EITHER:
            _refuse(path)
        with _read_only():
            yield
        return
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    from orchestrator.store.sqlite.engine import sqlite3

    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, click.ClickException) as error:
        if "readonly" in str(error) or "not authorized" in str(error):
            _refuse(path)
        if isinstance(error, click.ClickException):
            raise
        fail(str(error))


def _refuse(path: Path) -> NoReturn:
    fail(
        f"that would write, and {path} can only be read now: it is being served, or the command is one that reads. "
        "Stop the server first; tasks are changed with `orchestrator cancel`, `retry` and the like",
        Exit.CONFLICT,
    )


@contextmanager
def _read_only() -> Iterator[None]:
    """Let sqlite-utils open files for reading only, so that SQLite refuses whatever a statement tries."""
    from sqlite3 import dump as sqlite_dump

    import sqlite_utils

    from orchestrator.store.sqlite.engine import sqlite3

    class ReadOnly(sqlite_utils.Database):
        """A database that is opened with mode=ro; query_only covers what is attached to it."""

        def __init__(self, filename_or_conn: Any = None, *args: Any, **options: Any) -> None:
            if isinstance(filename_or_conn, str | Path):
                address = f"{Path(filename_or_conn).absolute().as_uri()}?mode=ro"
                filename_or_conn = sqlite3.connect(address, uri=True)
                filename_or_conn.execute("PRAGMA query_only = ON")
                filename_or_conn.set_authorizer(_authorize)
            super().__init__(filename_or_conn, *args, **options)

        def iterdump(self) -> Iterator[str]:  # type: ignore[override]
            """Statements that make the database anew; the standard library's function takes pysqlite3's connections, too."""
            yield from sqlite_dump._iterdump(self.conn)  # type: ignore[attr-defined]  # noqa: SLF001 - is what iterdump calls

    usual = sqlite_utils.Database
    sqlite_utils.Database = ReadOnly  # type: ignore[misc]
    try:
        yield
    finally:
        sqlite_utils.Database = usual  # type: ignore[misc]


def _authorize(action: int, name: str | None, value: str | None, *_: str | None) -> int:
    """SQLite's authorizer: 0 allows, 1 denies; what neither mode=ro nor query_only prevents."""
    from orchestrator.store.sqlite.engine import sqlite3

    pragma = (name or "").lower()
    if action != sqlite3.SQLITE_PRAGMA or pragma in PRAGMAS_THAT_READ:
        return 0
    return int(value is not None or pragma in PRAGMAS_THAT_ACT)
