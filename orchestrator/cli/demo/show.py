"""What the demo shows: the feed line by line, on a terminal above a table that is kept up to date, and a report."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orchestrator.cli import output
from orchestrator.cli.demo.scenario import ACTS, Played
from orchestrator.cli.feed import line
from orchestrator.cli.views import remark
from worker_client.contract.enums import Status
from worker_client.contract.events import Event
from worker_client.contract.tasks import Task

INTRODUCTION = """\
Work waits in a queue, per work directory. Workers ask for it; each task is leased to exactly one of them.
You see a real server (SQLite in a temporary folder), a real worker process, and {count} tasks for a small git repository."""
TITLE_WIDTH = max(len(act.title) for act in ACTS)


class Show:
    """Shows the demo on a terminal, or as plain lines."""

    def __init__(self) -> None:
        self._console = output.console()
        self._spinner = Spinner("dots", style="yellow")
        self._live = Live(console=self._console, transient=True, refresh_per_second=10, auto_refresh=self._console.is_terminal)
        self._titles: dict[int, str] = {}

    def __enter__(self) -> Self:
        text = INTRODUCTION.format(count=len(ACTS))
        if self._console.is_terminal:
            title = Text("orchestrator demo", style="bold")
            self._console.print(Panel(text, title=title, title_align="left", border_style="cyan", padding=(0, 1), expand=False))
        else:
            self._console.print(text)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def say(self, what: str, detail: str = "") -> None:
        """Tell what the demo does."""
        self._console.print(Text.assemble(("▸ ", "cyan"), (what, "bold"), f"  {detail}".rstrip()), soft_wrap=True)

    def happened(self, event: Event) -> None:
        """Show an event of the feed; those of creating are told by the table."""
        if event.type != "task.created":
            title = self._titles.get(event.task_id or 0, "").ljust(TITLE_WIDTH)
            self._console.print(Padding(line(event, title), (0, 0, 0, 2), expand=False))

    def now(self, tasks: Sequence[Task]) -> None:
        """Show the tasks as they stand."""
        self._titles = {task.id: task.title or "" for task in tasks}
        if self._console.is_terminal:
            self._live.start()
            self._live.update(Group("", self._table(tasks)))

    def report(self, played: Played) -> None:
        """Show what happened, and what to notice about it."""
        self._live.stop()
        made = _columns("ID", "TITLE", "PRIORITY", "STATUS", "ATTEMPTS", "SECONDS", "WHAT TO NOTICE")
        ids = {name: task.id for name, task in played.items()}
        for act in ACTS:
            task = played[act.name]
            spent = output.between(task.started_at, task.finished_at)
            made.add_row(
                str(task.id),
                Text(act.title),
                output.priority(task.priority),
                output.status(task.status),
                str(task.attempt),
                "" if spent is None else f"{spent:.1f}",
                Text(act.notice.format(id=task.id, after=ids.get(act.after or ""))),
            )
        self._console.print("", made)

    def address(self, url: str, repository: str, played: Played) -> None:
        """Where the server still listens, and what to try there."""
        flaky = played["flaky"].id
        lines: Mapping[str, str] = {
            f"export ORCHESTRATOR_URL={url}": "then, in another terminal:",
            "orchestrator list": "",
            f"orchestrator logs {flaky}": "the three attempts of the flaky one",
            f'orchestrator add --command "git log --stat" --dir {repository} --wait': "the worker is still there, too",
            "orchestrator watch": "",
        }
        self.say(f"The server still listens on {url}", "Ctrl-C stops it and removes everything")
        for command, why in lines.items():
            self._console.print(Text.assemble("    ", (command, "green"), (f"   # {why}" if why else "", "dim")), soft_wrap=True)

    def _table(self, tasks: Sequence[Task]) -> Table:
        made = _columns("ID", "TITLE", "PRIORITY", "STATUS", "ATTEMPT", "")
        for task in tasks:
            running = task.status is Status.RUNNING
            status: RenderableType = output.status(task.status)
            if running:
                self._spinner.update(text=output.status(task.status))
                status = self._spinner
            attempt = f"{task.attempt}/{task.max_attempts}" if task.attempt else ""
            made.add_row(
                str(task.id), Text(task.title or ""), output.priority(task.priority), status, attempt, Text(remark(task), "dim")
            )
        return made


def _columns(*headers: str) -> Table:
    made = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for header in headers:
        made.add_column(header, justify="right" if header in {"ID", "SECONDS", "ATTEMPTS", "ATTEMPT"} else "left")
    return made
