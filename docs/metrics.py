"""Writes the table in docs/metrics.md from the metrics that a server has: `python docs/metrics.py`."""

from pathlib import Path

from orchestrator.telemetry.gauges import FULL
from orchestrator.telemetry.metrics import Metrics

PAGE = Path(__file__).with_suffix(".md")
BEGIN, END = "<!-- the table: written by docs/metrics.py -->\n", "<!-- the end of the table -->\n"

_OF_INFO = {"orchestrator": ("version",)}


def page() -> str:
    """The whole page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


def table() -> str:
    """A row for each metric."""
    metrics = Metrics("")
    metrics.render(FULL)
    rows = ["| metric | type | labels | what it says |", "| --- | --- | --- | --- |"]
    for family in sorted(metrics.collect(), key=lambda one: one.name):
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = ", ".join(f"`{label}`" for label in family._labelnames or _OF_INFO.get(family.name, ()))  # noqa: SLF001 - kept nowhere else
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "".join(f"{row}\n" for row in rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
