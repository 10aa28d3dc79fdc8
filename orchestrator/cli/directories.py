"""`orchestrator directory`: pause and limit directories, and give them budgets."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.options import Session, connected, work_path
from orchestrator.cli.reaching import administering

if TYPE_CHECKING:
    from rich.console import RenderableType

    from worker_client.contract.directories import Directory

NONE = "none"
UNSAID = object()
"""What is left out stays as it is; `none` takes it away."""


class Limit(click.ParamType[Any]):
    """A number, or `none` for no limit."""

    def __init__(self, number: click.ParamType[Any]) -> None:
        self.name = "number or none"
        self._number = number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or None."""
        if value is UNSAID:
            return value
        return None if value == NONE else self._number.convert(value, param, ctx)


COUNT = Limit(click.IntRange(min=0))


@click.group("directory")
def directory() -> None:
    """Pause and limit directories with all that is below them, and give them budgets per day (UTC).

    `/` is the whole server. A number can also be `none`, which takes the limit away.
    """


@directory.command("set")
@click.argument("path")
@click.option("--host", default="", help="Only for what this machine does.  [default: all]")
@click.option("--pause/--resume", "paused", default=None, help="Give out no task there; give them out again.")
@click.option("--reason", help="Why it is paused.")
@click.option("--max-running", type=Limit(click.IntRange(min=1)), default=UNSAID, help="So many tasks at once.")
@click.option("--daily-cost", "daily_cost_usd", type=Limit(click.FloatRange(min=0)), default=UNSAID, help="US dollars a day.")
@click.option("--daily-tokens", type=COUNT, default=UNSAID, help="Tokens a day, input and output.")
@click.option("--daily-attempts", type=COUNT, default=UNSAID, help="Attempts a day.")
@administering
def set_directory(session: Session, path: str, **options: Any) -> None:
    """Change what is said; the rest stays.

    \b
        orchestrator directory set / --daily-cost 50
        orchestrator directory set ~/src/shop --daily-cost none --max-running 2
        orchestrator directory set ~/src/shop --pause --reason "release day"
    """  # noqa: D301 - click reads the mark itself
    fields = {name: value for name, value in options.items() if value is not UNSAID}
    given = {name: value for name, value in fields.items() if value is not None or name.startswith(("max_", "daily_"))}
    changed = session.client.set_directory(work_directory=path if options["host"] else work_path(path), **given)
    session.put(changed, _table([changed]))


@directory.command("list")
@click.option("--dir", "below", help="Only this directory and those below.  [default: all]")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at the most.")
@connected
def list_directories(session: Session, below: str | None, limit: int) -> None:
    """List directories that have tasks or settings."""
    page = session.client.directories(work_path=None if below is None else work_path(below), limit=limit)
    shown: list[RenderableType] = [_table(page.items) if page.items else "no directories"]
    if page.next_cursor:
        shown.append(f"the first {len(page.items)} of {page.total}; --limit shows more")
    session.put(page, *shown)


def _table(rows: "list[Directory]") -> "RenderableType":
    from orchestrator.cli import output

    numbers = ("MAX RUNNING", "COST A DAY", "TOKENS A DAY", "ATTEMPTS A DAY")
    lines = (
        (
            one.work_directory,
            one.host or "any",
            f"paused{f': {one.reason}' if one.reason else ''}" if one.paused else "open",
            ", ".join(f"{count} {status}" for status, count in one.by_status.items()),
            _number(one.max_running),
            "" if one.daily_cost_usd is None else f"${one.daily_cost_usd:,.2f}",
            _number(one.daily_tokens),
            _number(one.daily_attempts),
        )
        for one in rows
    )
    return output.table("DIRECTORY", "HOST", "STATE", "TASKS", *numbers, rows=lines, right=numbers)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
