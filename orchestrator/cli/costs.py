"""`orchestrator costs`: what was used, and what it cost."""

from datetime import date
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.options import Session, connected, work_path

if TYPE_CHECKING:
    from rich.console import RenderableType

    from worker_client.contract.usage import UsageRow

HEADINGS = {"day": "DAY (UTC)", "directory": "DIRECTORY", "host": "HOST", "model": "MODEL", "agent": "AGENT", "tag": "TAG"}


def day(text: str) -> date:
    """A day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no day: say 2030-01-31") from None


@click.command()
@click.option(
    "--by",
    type=click.Choice(list(HEADINGS)),
    multiple=True,
    default=("day",),
    show_default=True,
    help="What to tell apart; may be repeated.",
)
@click.option("--since", type=day, help="From this day on: 2030-01-31 (UTC).")
@click.option("--until", type=day, help="Until this day, which is included.")
@click.option(
    "--dir", "directories", multiple=True, help="Of this directory and those below; may be repeated.  [default: of all]"
)
@click.option("--host", multiple=True, help="Of what this machine did; may be repeated.")
@click.option("--model", multiple=True, help="Of this model; may be repeated.")
@click.option("--agent", multiple=True, help="Of this agent; may be repeated.")
@click.option("--tag", multiple=True, help="Of tasks with this tag; several need --by tag, for their sums overlap.")
@click.option("--most", is_flag=True, help="What cost most first, in place of the latest day.")
@click.option("--limit", type=click.IntRange(1, 1000), default=31, show_default=True, help="How many at the most.")
@connected
def costs(session: Session, by: tuple[str, ...], directories: tuple[str, ...], *, most: bool, **options: Any) -> None:
    """Say what was used: attempts, tokens and money, by day, directory, host, model, agent or tag.

    \b
        orchestrator costs --by directory --since 2030-01-01
        orchestrator costs --by model --by day --dir ~/src/shop
        orchestrator costs --by tag --most
    """  # noqa: D301 - click reads the mark itself
    from worker_client.contract.usage import UsageBy, UsageSort

    filters: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in options.items() if value
    }
    if most:
        filters["sort"] = UsageSort.COST
    if directories:
        filters.update(work_path=[work_path(one) for one in directories], recursive=True)
    page = session.client.usage(by=[UsageBy(one) for one in by], **filters)
    shown: list[RenderableType] = [_table(by, page.items)] if page.items else ["nothing was used"]
    if page.next_cursor:
        shown.append(f"the first {len(page.items)} of {page.total}; --limit shows more")
    session.put(page, *shown)


def _table(by: tuple[str, ...], rows: "list[UsageRow]") -> "RenderableType":
    from orchestrator.cli import output

    names = {"directory": "work_directory"}
    counts = ("ATTEMPTS", "INPUT", "OUTPUT", "CACHED", "COST")
    lines = (
        (
            *(str(getattr(row, names.get(name, name)) or "-") for name in dict.fromkeys(by)),
            *(f"{n:,}" for n in (row.attempts, row.input_tokens, row.output_tokens, row.cached_tokens)),
            f"${row.cost_usd:,.2f}",
        )
        for row in rows
    )
    return output.table(*(HEADINGS[name] for name in dict.fromkeys(by)), *counts, rows=lines, right=counts)
