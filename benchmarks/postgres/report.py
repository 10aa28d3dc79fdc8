"""Figures of rounds: shown as a table, kept for a file."""

from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(width=130)


class Report:
    """Everything that was measured in a run, as it goes into the JSON file."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def keep(self, **facts: Any) -> None:
        """Keep figures."""
        self.found |= facts

    def table(self, title: str, heads: list[str], rows: list[list[Any]]) -> None:
        """Show and keep a table."""
        shown = Table(title=title, title_justify="left")
        for at, head in enumerate(heads):
            shown.add_column(head, justify="right" if at else "left")
        for row in rows:
            shown.add_row(*(_shown(value) for value in row))
        console.print(shown)
        self.found.setdefault("tables", {})[title] = [dict(zip(heads, row, strict=True)) for row in rows]

    def say(self, line: str) -> None:
        """Show and keep a sentence."""
        console.print(line, highlight=False)
        self.found.setdefault("said", []).append(line)


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios round by round: what slows the machine down slows both."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
