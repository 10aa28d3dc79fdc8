"""`orchestrator import`: what other schedulers had to do."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.exits import Exit, note
from orchestrator.cli.options import Session, connected, work_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.cli.adopting import Adoption


@click.group("import")
def imports() -> None:
    """Take over the jobs of other schedulers."""


@imports.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--timezone", help="Zone of the times in FILE, such as Asia/Shanghai.  [default: this machine's]")
@click.option(
    "--work-directory", help="Of jobs that name none; made absolute, symlinks resolved.  [default: the server's, /default]"
)
@click.option("--table", help="The table of jobs in an SQLite file.  [default: found by its columns]")
@click.option("--dry-run", is_flag=True, help="Only show what would be made of them.")
@connected
def timerjobs(
    session: Session, file: Path, *, timezone: str | None, work_directory: str | None, table: str | None, dry_run: bool
) -> None:
    """Make schedules of the jobs of TimerJobs: FILE is its SQLite file, or the answer of its list as JSON.

    A job whose name a schedule has already is left as it is, so importing again changes nothing. Each is shown with its next
    times; what cannot be taken over, or not run here, is named with the reason. Exit code 1 when a job was refused.
    """
    from orchestrator.cli.adopting import Importer
    from orchestrator.cli.host_zone import host_zone
    from orchestrator.cli.jobs_file import UnreadableFile, read

    zone = timezone or host_zone()
    if zone is None:
        raise click.UsageError("this machine's time zone has no name that is known: say it, as in --timezone Asia/Shanghai")
    try:
        jobs = read(file, table)
    except UnreadableFile as error:
        raise click.UsageError(str(error)) from None
    directory = None if work_directory is None else work_path(work_directory)
    importer = Importer(session.client, timezone=zone, work_directory=directory, dry=dry_run)
    done = [importer.adopt(row) for row in jobs.rows]
    document = {"file": str(file), "timezone": zone, "dry_run": dry_run, "missing": jobs.missing, "jobs": done}
    session.put(document, *_told(done, zone, dry=dry_run))
    if jobs.missing:
        note(f"note: {file} is a page of a longer list: {jobs.missing} more jobs are not in it; ask for all of them at once")
    if any(one.fate == "refused" for one in done):
        sys.exit(Exit.FAILED)


def _told(done: "list[Adoption]", zone: str, *, dry: bool) -> "Iterator[Any]":
    from orchestrator.cli import output
    from orchestrator.cli.adopting import worker_for

    if not done:
        yield "there are no jobs in it"
        return
    rows = (
        (
            one.name,
            one.fate,
            one.cron,
            one.preview.description if one.preview else "",
            "\n".join(_times(one)),
            "\n".join(filter(None, [one.reason, *one.notes])),
        )
        for one in done
    )
    yield f"times are those of {zone}" + ("; nothing is changed, as --dry-run says" if dry else "")
    yield output.table("NAME", "", "CRON", "IN WORDS", "NEXT", "NOTES", rows=rows)
    if line := worker_for(done):
        yield f"a worker that can do them, once its directories are there:\n  {line}"


def _times(one: "Adoption") -> "Iterator[str]":
    from zoneinfo import ZoneInfo

    if one.preview is not None:
        zone = ZoneInfo(one.preview.timezone)
        for fire in one.preview.fires:
            yield fire.at.astimezone(zone).strftime("%a %Y-%m-%d %H:%M:%S %Z")
