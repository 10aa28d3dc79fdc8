"""Commands that stay: logs -f and watch."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from orchestrator.cli.options import TASK_ID, Session, connected, work_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_client.contract.logs import StoredLogLine

PAGE = 1000


@click.command()
@click.argument("task_id", metavar="ID", type=TASK_ID)
@click.option("-f", "--follow", is_flag=True, help="Go on as more comes, until the task has ended.")
@click.option("-t", "--times", is_flag=True, help="With the time of each line.")
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), help="Write it to this file, once all of it is there.")
@connected
def logs(session: Session, task_id: int, *, follow: bool, times: bool, file: "Path | None") -> None:
    """Print a task's output, of all its attempts; what it wrote to standard error goes there."""
    from orchestrator.cli import output

    lines = session.client.follow_logs(task_id) if follow else _stored(session, task_id)
    if file is not None:
        _write(file, (f"{output.clock(line.at)} {line.text}" if times else line.text for line in lines))
        return
    lease = None
    for line in lines:
        if session.as_json:
            output.emit(line)
            continue
        if lease not in {None, line.lease_no}:
            click.secho("── next attempt ──", dim=True, err=True)
        lease = line.lease_no
        stamp = f"{output.clock(line.at)} " if times else ""
        click.echo(f"{stamp}{line.text}", err=line.stream != "stdout")


def _stored(session: Session, task_id: int) -> "Iterator[StoredLogLine]":
    after = 0
    while True:
        page = session.client.logs(task_id, after=after, limit=PAGE)
        yield from page.lines
        if len(page.lines) < PAGE:
            return
        after = page.next_after


def _write(file: Path, lines: "Iterator[str]") -> None:
    """Put lines into a file, which is there when it is whole."""
    from orchestrator.cli.exits import fail

    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("w", encoding="utf-8") as writing:
            count = sum(writing.write(f"{line}\n") and 1 for line in lines)
        part.replace(file)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror or error}")
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{count:,} lines in {file}", err=True)


@click.command()
@click.option("--dir", "directories", multiple=True, help="Only this directory and those below; may be repeated.")
@connected
def watch(session: Session, directories: tuple[str, ...]) -> None:
    """Watch what runs, what waits and why, what needs a person and what happens, until q or Ctrl-C.

    On a terminal a screen that is kept up to date, on which tasks are answered, approved, cancelled and retried: ? tells by which
    keys. Elsewhere, and with --json, a line per event.
    """
    from orchestrator.cli import output
    from orchestrator.cli.live import Watching

    # Says now, and not after many tries, that there is no server.
    session.client.list(limit=1)
    watching = Watching(session.client.url, session.api_key, [work_path(one) for one in directories])
    with contextlib.suppress(KeyboardInterrupt):
        if session.as_json or not output.console().is_terminal or output.console().is_dumb_terminal:
            asyncio.run(watching.lines(as_json=session.as_json))
        elif code := asyncio.run(watching.screen()):
            sys.exit(code)
