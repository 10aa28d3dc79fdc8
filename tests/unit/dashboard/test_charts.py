"""Bars of charts: how high, where, and what stands on the axis."""

import pytest

from orchestrator.dashboard import charts
from orchestrator.dashboard.charts import HEIGHT, WIDTH, Column, Piece


def test_counts_stand_on_top_of_each_other() -> None:
    chart = charts.counts([Column((3, 1), "busy"), Column((0, 0), "idle")], ("a", "b"), str)
    assert chart.ticks == ("4", "2.0", "0")
    busy, idle = chart.bars
    assert busy.pieces == [Piece("a", HEIGHT // 4, 3 * HEIGHT // 4), Piece("b", 0, HEIGHT // 4)]
    assert (idle.pieces, idle.x, idle.title) == ([], WIDTH // 2, "idle")


def test_times_stand_behind_each_other() -> None:
    chart = charts.times([Column((1000, 500), "")], ("p95", "p50"), str)
    assert [(piece.kind, piece.height) for piece in chart.bars[0].pieces] == [("p95", HEIGHT), ("p50", HEIGHT // 2)]


@pytest.mark.parametrize("most", [0, 1, 7, 10**12])
def test_no_bar_leaves_the_chart(most: int) -> None:
    for chart in (charts.counts([Column((most, 0), "")], "ab", str), charts.times([Column((most, 0), "")], "ab", str)):
        assert all(piece.y >= 0 and piece.y + piece.height <= HEIGHT for bar in chart.bars for piece in bar.pieces)


def test_nothing_is_a_chart_too() -> None:
    assert charts.counts([], ("a",), str).bars == []


def test_little_beside_much_is_still_seen() -> None:
    (bar,) = charts.counts([Column((1, 100_000), "")], ("a", "b"), str).bars
    assert bar.pieces[0] == Piece("a", HEIGHT - 1, 1)
