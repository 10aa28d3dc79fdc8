"""What a run found: one table for the eye, more of them and sentences for the file."""

from statistics import median
from typing import Any

from msgspec import Struct, field
from rich.console import Console
from rich.table import Table

console = Console(width=130)
HEADS = ("measured", "ours", "beside", "theirs", "ratio", "asked", "held")


class Compared(Struct, frozen=True):
    """A line of the one table, as it is shown."""

    what: str
    ours: str
    beside: str = ""
    theirs: str = ""
    ratio: str = ""
    asked: str = ""
    held: bool | None = None

    def cells(self) -> list[str]:
        """As many as there are HEADS."""
        held = {None: "", True: "yes", False: "NO"}[self.held]
        return [self.what, self.ours, self.beside, self.theirs, self.ratio, self.asked, held]


class Shown(Struct, frozen=True):
    """A table of details."""

    title: str
    heads: list[str]
    rows: list[list[Any]]

    def cells(self) -> list[list[str]]:
        """As they are shown."""
        return [[shown(value) for value in row] for row in self.rows]


class Report(Struct):
    """Everything that was measured in a run; `found` is what goes into a JSON file, `svg` a plot."""

    loud: bool = False
    compared: list[Compared] = field(default_factory=list)
    tables: list[Shown] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    svg: str = ""

    def compare(
        self,
        what: str,
        ours: float,
        beside: str,
        theirs: float,
        *,
        unit: str = "/s",
        ratio: float | None = None,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        """Ours beside another's; `ratio` of the medians unless another one is given, and what is asked of it."""
        part = ours / theirs if ratio is None else ratio
        asked, held = _asked(part, "", least, most)
        line = Compared(what, f"{shown(ours)}{unit}", beside, f"{shown(theirs)}{unit}", f"{part:.2f}", asked, held)
        self.compared.append(line)

    def bound(self, what: str, value: float, unit: str, *, least: float | None = None, most: float | None = None) -> None:
        """A figure of ours, and what is asked of it."""
        asked, held = _asked(value, unit, least, most)
        self.compared.append(Compared(what, f"{shown(value)}{unit}", asked=asked, held=held))

    def missing(self, what: str, how: str) -> None:
        """Somebody is not there to be measured: how to get it."""
        self.compared.append(Compared(what, "not there", how))

    def table(self, title: str, heads: list[str], rows: list[list[Any]]) -> None:
        """Keep a table of details."""
        self.tables.append(Shown(title, heads, rows))
        self.found.setdefault("tables", {})[title] = [dict(zip(heads, row, strict=True)) for row in rows]
        if self.loud:
            console.print(drawn(title, heads, self.tables[-1].cells()))

    def say(self, line: str) -> None:
        """Keep a sentence."""
        self.said.append(line)
        self.found["said"] = self.said
        if self.loud:
            console.print(line, highlight=False)

    def keep(self, **facts: Any) -> None:
        """Keep figures for the JSON file."""
        self.found |= facts


def drawn(title: str, heads: list[str], rows: list[list[str]]) -> Table:
    """A table for the terminal."""
    made = Table(title=title, title_justify="left")
    for at, head in enumerate(heads):
        made.add_column(head, justify="right" if at else "left")
    for row in rows:
        made.add_row(*row)
    return made


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios round by round: what slows the machine down slows both."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def shown(value: Any) -> str:
    """A figure as people read it."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _asked(value: float, unit: str, least: float | None, most: float | None) -> tuple[str, bool | None]:
    if least is not None:
        return f"≥ {least:g}{unit}", value >= least
    return (f"≤ {most:g}{unit}", value <= most) if most is not None else ("", None)
