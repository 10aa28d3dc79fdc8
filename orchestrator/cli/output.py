"""What people and programs get to read: tables and words, or JSON."""

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from worker_client.contract.enums import Priority, Status
from worker_client.contract.tasks import Task

STYLES: Mapping[str, str] = {
    Status.WAITING: "cyan",
    Status.SCHEDULED: "blue",
    Status.BLOCKED: "magenta",
    Status.RUNNING: "bold yellow",
    Status.PARKED: "magenta",
    Status.COMPLETED: "green",
    Status.FAILED: "bold red",
    Status.CANCELLED: "bright_black",
}
PRIORITY_STYLES: Mapping[str, str] = {Priority.URGENT: "bold red", Priority.HIGH: "yellow", Priority.LOW: "bright_black"}
WIDE = 1000
"""Columns where no terminal cuts lines: what is piped to another program stays whole."""

_TURNING: Final = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Signs that turn the direction in which a line is read."""
_SEEN: Final = {sign: "\ufffd" for sign in (*range(0x20), *range(0x7F, 0xA0), *_TURNING) if chr(sign) not in "\n\t"}

SOMEBODY = "somebody, while the server was open"
"""Who made something when no key was asked for."""


class Shown(Console):
    """A console on which control signs are seen and not obeyed: names and titles may be those of strangers."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of what is printed."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(piece.text.translate(_SEEN), piece.style)


@cache
def console() -> Console:
    """Standard output: pretty on a terminal, plain and uncut elsewhere."""
    plain = not sys.stdout.isatty()
    return Shown(highlight=False, emoji=False, markup=False, width=WIDE if plain else None, no_color=plain or None)


def emit(document: Any) -> None:
    """Print a document as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()


def table(*headers: str, rows: Iterable[Iterable[Text | str]], right: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A table; the columns named in `right` are numbers."""
    made = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False)
    for header in headers:
        made.add_column(header, justify="right" if header in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def facts(named: Iterable[tuple[str, Text | str]]) -> Table:
    """Names and values, a line each; those without a value are left out."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in named:
        if value:
            made.add_row(name, value)
    return made


def status(value: str) -> Text:
    """A status in its colour."""
    return Text(str(value), style=STYLES.get(value, ""))


def priority(value: str) -> Text:
    """A priority in its colour."""
    return Text(str(value), style=PRIORITY_STYLES.get(value, ""))


def title(task: Task, most: int = 60) -> Text:
    """What a task is called, in one line: its title, else its prompt, else its command."""
    spec = task.spec if isinstance(task.spec, dict) else {}
    command = spec.get("command") or spec.get("url") or spec.get("name") or ""
    words = task.title or task.prompt or (" ".join(map(str, command)) if isinstance(command, list) else str(command))
    line = " ".join(words.split())
    return Text(line if len(line) <= most else line[: most - 1] + "…")


def duration(seconds: float | None) -> str:
    """`0.4s`, `12s`, `3m 20s`, `2h 5m`, `3d 4h`."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 1:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 1:
        return f"{minutes}m {rest}s"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h" if days else f"{hours}h {minutes}m"


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from one to the other; until now when it has not ended."""
    return None if start is None else ((end or datetime.now(UTC)) - start).total_seconds()


def moment(when: datetime | None) -> str:
    """A time in this machine's zone."""
    return "" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock(when: datetime) -> str:
    """The time of day in this machine's zone."""
    return when.astimezone().strftime("%H:%M:%S")
