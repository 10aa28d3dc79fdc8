"""Figures of speed in the recipes are those of benchmarks/RESULTS.md."""

import re

from tests.docs.blocks import ROOT


def test_the_figures_are_those_that_were_measured() -> None:
    page = (ROOT / "docs/howto/scaling.md").read_text(encoding="utf-8")
    table = page[page.index("| measured | figure |") :].partition("\n\n")[0]
    figures = re.findall(r"(?m)^\| (.+) \| (\S+(?: ms)?) \|$", table)
    measured = re.findall(r"(?m)^\| ([^|]+) \| ([^|]+) \|", (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8"))
    assert len(figures) > 5
    assert set(figures) - {("measured", "figure")} <= set(measured), "take them from benchmarks/RESULTS.md"
