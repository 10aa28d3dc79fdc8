"""`orchestrator server-logs`: what the server itself logged lately."""

from typing import TYPE_CHECKING

import rich_click as click

from orchestrator.cli.options import Session, connected

if TYPE_CHECKING:
    from worker_client.contract.system import SystemLogLine

LEVELS = ("debug", "info", "warning", "error", "critical")
STYLES = {"debug": "dim", "warning": "yellow", "error": "bold red", "critical": "bold red"}
LOOK_SECONDS = 1.0


@click.command("server-logs")
@click.option("-f", "--follow", is_flag=True, help="Go on as more comes, until Ctrl-C.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", show_default=True, help="Of at least this level.")
@click.option("--search", "q", help="Only lines that contain this, in any case.")
@click.option("-n", "--lines", "limit", type=click.IntRange(1, 1000), default=200, show_default=True, help="The last so many.")
@connected
def server_logs(session: Session, *, follow: bool, level: str, q: str | None, limit: int) -> None:
    """Print the latest lines of the server's own log, newest last; for its administrators.

    They are those that it keeps in memory; of several servers it is the one that answers.
    """
    import time

    page = session.client.system_logs(level=level, q=q, limit=limit)
    _put(session, page.lines)
    while follow:
        if not page.lines:
            time.sleep(LOOK_SECONDS)
        page = session.client.system_logs(level=level, q=q, limit=1000, after=page.next_after)
        _put(session, page.lines)


def _put(session: Session, lines: "list[SystemLogLine]") -> None:
    from rich.text import Text

    from orchestrator.cli import output

    for line in lines:
        if session.as_json:
            output.emit(line)
            continue
        shown = Text.assemble(
            (f"{line.at.astimezone():%H:%M:%S} ", "dim"), (f"{line.level:<8} ", STYLES.get(line.level, "")), line.event
        )
        for name, value in line.facts.items():
            if name != "exception":
                shown.append(f"  {name}=", "dim").append(str(value))
        output.console().print(shown, soft_wrap=True)
        if exception := line.facts.get("exception"):
            output.console().print(Text(str(exception), style="dim"), soft_wrap=True)
