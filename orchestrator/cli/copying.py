"""`orchestrator copy`: all tasks from one database to another, with nothing lost on the way."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.exits import note, refusals

if TYPE_CHECKING:
    from orchestrator.store.copying.copy import Compared, Tell
    from orchestrator.store.copying.end import End


@click.command("copy")
@click.option("--from", "source", required=True, metavar="URL", envvar="ORCHESTRATOR_COPY_FROM", help="The database to read.")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="URL",
    envvar="ORCHESTRATOR_COPY_TO",
    help="The database to fill; made if it is a file, and empty.",
)
@click.option("--json", "as_json", is_flag=True, envvar="ORCHESTRATOR_JSON", help="Print JSON, for programs.")
def copy(source: str, target: str, *, as_json: bool) -> None:
    """Copy all tasks, keys and lists from one database to another, of either kind, while no server uses them.

    The source is only read. What was stopped, or killed, goes on where it was when the same command is run again; until it is
    finished no server takes the copy. In the end all rows of both are read and compared.

    \b
        orchestrator copy --from sqlite:///data/tasks.db --to postgresql://tasks@db.example.org/tasks
    """  # noqa: D301 - click reads the mark itself
    with refusals(as_json=as_json):
        from orchestrator.store.copying.copy import Copy
        from orchestrator.store.copying.end import CopyFailedError
        from orchestrator.store.copying.opening import opened

        begun = time.monotonic()
        with opened(source, target) as (one, other), _progress(one) as tell:
            run = Copy(one, other, tell)
            state = run.begin()
            if state.rows and not as_json:
                note(f"going on behind {sum(state.rows.values()):,} rows that are there already")
            run.rows()
            compared = run.compare()
            good = all(table.ok for table in compared)
            epoch = run.conclude() if good else None
        facts = {"from": one.shown, "to": other.shown, "seconds": round(time.monotonic() - begun, 1), "epoch": epoch}
        _show(compared, facts, as_json=as_json)
        if not good:
            raise CopyFailedError(
                f"{other.shown} is not the same as {one.shown} (see the table above), so no server takes it: "
                "look for who else writes to these databases, then copy again to an empty one"
            )


def _show(compared: "list[Compared]", facts: dict[str, Any], *, as_json: bool) -> None:
    from msgspec.structs import asdict

    from orchestrator.cli import output

    rows, mended = sum(table.rows for table in compared), sum(table.mended for table in compared)
    if as_json:
        tables = [{**asdict(table), "ok": table.ok} for table in compared]
        output.emit({**facts, "rows": rows, "mended": mended, "tables": tables})
        return
    lines = [(one.table, f"{one.rows:,}", one.checksum, "yes" if one.ok else _unlike(one)) for one in compared]
    output.console().print(output.table("table", "rows", "checksum", "ok", rows=lines, right=("rows",)))
    if mended:
        output.console().print(f"{mended:,} rows had NUL characters, which PostgreSQL cannot store: they are U+FFFD there")
    if facts["epoch"] is not None:
        seconds = facts["seconds"]
        output.console().print(f"{rows:,} rows of {facts['from']} are in {facts['to']}, after {seconds} s: serve that one now")


def _unlike(table: "Compared") -> str:
    return f"no: {table.rows_there:,} {table.checksum_there}"


@contextmanager
def _progress(source: "End") -> "Iterator[Tell]":
    """A bar for each step, where somebody looks."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rows = sum(source.counts().values())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        steps = {"copying": shown.add_task("copying", total=rows), "comparing": shown.add_task("comparing", total=2 * rows)}

        def tell(step: str, table: str, further: int) -> None:
            shown.update(steps[step], description=f"{step} {table}", advance=further)

        yield tell
