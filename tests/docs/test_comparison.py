"""Figures of docs/comparison.md are those that were measured."""

import re

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs/comparison.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8")


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_figures_are_those_of_the_results() -> None:
    header = next(row for row in RESULTS.splitlines() if row.startswith("| system | workers |"))
    column = _cells(header).index("lifecycle/s")
    measured = re.findall(r"(?m)^\| [^|]+ \| \d+ \|.+\|$", RESULTS)
    known = {tuple(_cells(row)[:2]): _cells(row)[column] for row in measured if len(_cells(row)) > column}
    told = [_cells(row) for row in re.findall(r"(?m)^\| [^|]+ \| \d+ \| [\d.,]+ \|$", PAGE)]
    assert len(told) >= 5
    wrong = [row for row in told if known.get((row[0], row[1])) != row[2]]
    assert wrong == [], "take the figures of benchmarks/RESULTS.md"
    assert set(re.findall(r"\d[\d,.]*(?=/s| a second| ms)", PAGE)) == set()


def test_the_order_is_that_of_the_figures() -> None:
    figures = [float(figure.replace(",", "")) for figure in re.findall(r"(?m)^\| [^|]+ \| 16 \| ([\d.,]+) \|$", PAGE)]
    assert figures == sorted(figures, reverse=True)
