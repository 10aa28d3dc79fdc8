"""Bar charts as numbers: where each bar is, what stands on the axes. Templates turn them into SVG."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

WIDTH: Final = 1200
HEIGHT: Final = 1000
"""Of the drawing; it is stretched to the place that there is."""
_GAP: Final = 0.2
_COUNTS: Final = tuple(step * 10**power for power in range(9) for step in (2, 4, 10))
_AMOUNTS: Final = tuple(step * 10**power / 100 for power in range(12) for step in (1, 2, 4, 6, 8))
_SECOND: Final = 1_000
_MINUTE: Final = 60_000
_HOUR: Final = 3_600_000
_TIMES: Final = (
    *(10, 100, 500),
    *(n * _SECOND for n in (1, 2, 4, 10, 20, 30)),
    *(n * _MINUTE for n in (1, 2, 4, 10, 20, 30)),
    *(n * _HOUR for n in (1, 2, 4, 8, 12, 24, 48, 96, 240, 2400)),
)


class Column(Struct, frozen=True):
    """What is told of one place: the values in the order of the kinds of the chart, and all of it in words."""

    values: Sequence[float]
    title: str


class Piece(Struct, frozen=True):
    """A part of a bar; `kind` is the class of its colour."""

    kind: str
    y: int
    height: int


class Bar(Struct, frozen=True):
    """A bar, in units of the drawing from the top left."""

    x: int
    width: int
    pieces: Sequence[Piece]
    title: str


class Chart(Struct, frozen=True):
    """Bars, and what stands at the top, in the middle and at the foot of the upright axis."""

    bars: Sequence[Bar]
    ticks: Sequence[str]
    width: int = WIDTH
    height: int = HEIGHT


def counts(columns: Sequence[Column], kinds: Sequence[str], told: Callable[[float], str]) -> Chart:
    """Values on top of each other, as those of different things that add up."""
    most = _least_of(_COUNTS, max((sum(column.values) for column in columns), default=0))
    return _chart(columns, kinds, most, told, stacked=True)


def amounts(columns: Sequence[Column], kinds: Sequence[str], told: Callable[[float], str]) -> Chart:
    """Dollars and the like on top of each other, down to a hundredth."""
    most = _least_of(_AMOUNTS, max((sum(column.values) for column in columns), default=0))
    return _chart(columns, kinds, most, told, stacked=True)


def times(columns: Sequence[Column], kinds: Sequence[str], told: Callable[[float], str]) -> Chart:
    """Milliseconds behind each other, the larger ones first, as percentiles."""
    most = _least_of(_TIMES, max((max(column.values, default=0) for column in columns), default=0))
    return _chart(columns, kinds, most, told, stacked=False)


def _least_of(steps: Sequence[float], value: float) -> float:
    """The first step that is not below the value."""
    return next((step for step in steps if step >= value), value)


def _chart(columns: Sequence[Column], kinds: Sequence[str], most: float, told: Callable[[float], str], *, stacked: bool) -> Chart:
    step = WIDTH / max(1, len(columns))
    bars = []
    for place, column in enumerate(columns):
        pieces, foot = [], float(HEIGHT)
        for kind, value in zip(kinds, column.values, strict=True):
            height = HEIGHT * value / most
            if height > 0:
                pieces.append(Piece(kind, min(round(foot - height), HEIGHT - 1), max(1, round(height))))
            if stacked:
                foot -= height
        bars.append(Bar(round(place * step), round(step * (1 - _GAP)), pieces, column.title))
    return Chart(bars, (told(most), told(most / 2), told(0)))
