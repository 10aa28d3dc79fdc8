"""`orchestrator audit`: who changed what, when and from where."""

import csv
import itertools
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.options import TASK_ID, Session, duration, time, work_path
from orchestrator.cli.reaching import administering, every

if TYPE_CHECKING:
    from worker_client.contract.audit import AuditEntry

SHOWN = 50


def since(text: str) -> datetime:
    """A time, or a duration before now."""
    return time(text) if "-" in text else datetime.now(UTC) - timedelta(seconds=duration(text))


@click.command()
@click.option("--since", "created_after", type=since, help="After this time, 2030-01-31T18:00, or so long ago: 90m, 7d.")
@click.option("--until", "created_before", type=since, help="Before this time, or so long ago.")
@click.option("--actor", multiple=True, help="The id of a key, or `system`, `local`, `bootstrap`; may be repeated.")
@click.option("--type", multiple=True, help="Such as task.created or key.revoked; may be repeated.")
@click.option("--task", "task_id", type=TASK_ID, multiple=True, help="May be repeated.")
@click.option("--dir", "directories", multiple=True, help="What happened in this directory and below; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), help=f"Only so many.  [default: {SHOWN}; all with --json or --csv]")
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for spreadsheets, with a header.")
@administering
def audit(session: Session, directories: tuple[str, ...], *, limit: int | None, as_csv: bool, **options: Any) -> None:
    """Print who changed what, when and from where, newest first; with --json an object per line."""
    filters = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items() if value}
    if directories:
        filters["work_path"] = [work_path(one) for one in directories]
    whole = as_csv or session.as_json
    found = itertools.islice(every(session.client.audit, **filters), limit or (None if whole else SHOWN))
    if as_csv:
        _csv(found)
        return
    from orchestrator.cli import doors, output

    if session.as_json:
        for entry in found:
            output.emit(entry)
        return
    entries = list(found)
    session.put(None, doors.entries(entries) if entries else "nothing was changed")


def _csv(found: "Iterable[AuditEntry]") -> None:
    from orchestrator import spreadsheet

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(spreadsheet.COLUMNS)
    writer.writerows(map(spreadsheet.row, found))
