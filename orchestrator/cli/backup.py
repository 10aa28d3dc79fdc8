"""`orchestrator backup`: a copy of the database file, while the server goes on."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from orchestrator.cli.configured import config_option, database_option, load
from orchestrator.cli.exits import Exit, fail, refusals

if TYPE_CHECKING:
    from orchestrator.store.sqlite.backup import Tell


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--json", "as_json", is_flag=True, envvar="ORCHESTRATOR_JSON", help="Print JSON, for programs.")
@database_option
@config_option
def backup(file: Path, database: str | None, config: Path | None, *, force: bool, as_json: bool) -> None:
    """Copy the database to FILE as it is at this moment, while its server goes on.

    FILE is complete and on disk when this ends, and readable by you alone. To restore it, serve it: what was given out since,
    as ids and leases, is not taken for something else then, what ran begins anew, and readers of events are told to begin anew.

    \b
        orchestrator backup backups/$(date +%F).db
        orchestrator serve --database sqlite:///backups/2030-01-31.db
    """  # noqa: D301 - click reads the mark itself
    settings = load(config, database={"url": database}).database
    if settings.path is None:
        fail(
            f"tasks are kept at {settings.shown}, which PostgreSQL's own programs back up: "
            f"`pg_dump --format=custom --file={file} {settings.shown}`, or an archive of its log",
            Exit.USAGE,
        )
    with refusals(as_json=as_json):
        from orchestrator.store.sqlite.backup import back_up

        begun = time.monotonic()
        with _progress() as tell:
            at = datetime.fromtimestamp(back_up(settings.path, file, _now, force=force, tell=tell) / 1000, UTC)
        size, seconds = file.stat().st_size, round(time.monotonic() - begun, 1)
    if as_json:
        from orchestrator.cli.output import emit

        emit({"file": str(file), "from": settings.shown, "at": at, "bytes": size, "seconds": seconds})
    else:
        click.echo(f"{file} is {settings.shown} as of {at:%Y-%m-%d %H:%M:%S} UTC ({size / 1e6:,.1f} MB, {seconds} s)")


def _now() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def _progress() -> "Iterator[Tell]":
    """A bar, where somebody looks."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task("copying")
        yield lambda done, total: shown.update(bar, completed=done, total=total)
