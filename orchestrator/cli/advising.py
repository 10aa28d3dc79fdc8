"""`orchestrator advice`: why a task failed, or what to change about the whole."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.options import TASK_ID, Session, connected, work_path

if TYPE_CHECKING:
    from worker_client.contract.advice import Advice

_EVIDENCE = 3


@click.command()
@click.argument("task_id", type=TASK_ID, required=False)
@click.option("--dir", "directories", multiple=True, help="About this directory and those below; may be repeated.")
@click.option("--code", multiple=True, help="Of this code only; may be repeated.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at the most.")
@connected
def advice(
    session: Session, task_id: int | None, directories: tuple[str, ...], code: tuple[str, ...], limit: int
) -> None:  # fmt: skip
    """Say why a task failed, or without its id what to change: schedules, directories, time-outs, workers, costs.

    \b
        orchestrator advice 17
        orchestrator advice --dir ~/src/shop
    """  # noqa: D301 - click reads the mark itself
    if task_id is not None:
        if directories or code:
            raise click.UsageError("--dir and --code are for advice about the whole: leave them out, or the id")
        found = session.client.task_advice(task_id)
        session.put(found, f"task {found.id} is {found.status}: {found.summary}", *_shown(found.items))
        return
    filters: dict[str, Any] = {"code": list(code)} if code else {}
    if directories:
        filters.update(work_path=[work_path(one) for one in directories], recursive=True)
    page = session.client.advice(limit=limit, **filters)
    shown = list(_shown(page.items)) or ["nothing needs to be changed, as far as anybody can tell"]
    if page.next_cursor:
        shown.append(f"the first {len(page.items)} of {page.total}; --limit shows more")
    session.put(page, *shown)


def _shown(items: "Iterable[Advice]") -> Iterator[Any]:
    from rich.text import Text

    for one in items:
        sure = "" if one.confidence == "certain" else f" ({one.confidence})"
        yield Text.assemble("\n", (one.code, "bold"), (sure, "dim"), f"  {one.message}")
        yield Text(f"  do: {one.suggestion}")
        for fact in one.evidence[:_EVIDENCE]:
            place = f"line {fact.line}: " if fact.line is not None else f"task {fact.task_id}, " if fact.task_id else ""
            yield Text(f"  see: {place}{fact.text}", style="dim")
