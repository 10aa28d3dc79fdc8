"""Graphs as SVG: boxes with a status, curves between them; the layout is that of `layers`."""

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from orchestrator.dashboard.layers import Point, layered
from orchestrator.dashboard.measures import line

WIDTH: Final = 176
HEIGHT: Final = 42
_ACROSS: Final = 56
_DOWN: Final = 14
_EDGE: Final = 10
_LETTERS: Final = 22


class Node(Struct, frozen=True):
    """What a box says; `note` stands below the name, `link` is a path of a page here; `own`: the one that the graph is about."""

    id: str
    name: str
    status: str
    note: str = ""
    link: str = ""
    own: bool = False


class Edge(Struct, frozen=True):
    """From one node to one that follows it; `faint`: it holds nothing up any more."""

    start: str
    end: str
    faint: bool = False


class Box(Struct, frozen=True):
    """A node and its upper left corner."""

    node: Node
    x: float
    y: float
    name: str


class Curve(Struct, frozen=True):
    """The path of an edge."""

    path: str
    faint: bool


class Drawing(Struct, frozen=True):
    """All of a graph, and its size in pixels."""

    boxes: list[Box]
    curves: list[Curve]
    width: int
    height: int


def drawing(nodes: Sequence[Node], edges: Iterable[Edge]) -> Drawing:
    """Where everything of a graph is drawn."""
    faint = {(edge.start, edge.end): edge.faint for edge in edges}
    found = layered([node.id for node in nodes], faint)
    boxes = []
    for node in nodes:
        x, y = _corner(found.nodes[node.id])
        boxes.append(Box(node, x, y, clipped(node.name, _LETTERS)))
    curves = [Curve(_curve(way), faint[edge]) for edge, way in found.edges.items()]
    width = found.layers * (WIDTH + _ACROSS) - _ACROSS + 2 * _EDGE
    return Drawing(boxes, curves, max(0, width), round(found.height * (HEIGHT + _DOWN) - _DOWN + 2 * _EDGE))


def clipped(text: str, letters: int) -> str:
    """The first line of a text, as much of it as is not wider than so many letters; Chinese ones are twice as wide."""
    told = line(text, 4 * letters)
    room = float(letters)
    for place, letter in enumerate(told):
        room -= 1.8 if unicodedata.east_asian_width(letter) in "WF" else 1
        if room < 0:
            return told[: max(1, place - 1)] + "\N{HORIZONTAL ELLIPSIS}"
    return told


def _corner(point: Point) -> tuple[float, float]:
    layer, place = point
    return _EDGE + layer * (WIDTH + _ACROSS), round(_EDGE + place * (HEIGHT + _DOWN), 1)


def _curve(way: Sequence[Point]) -> str:
    """From the right of the first box to the left of the last, and straight through the layers between."""
    x, y = _corner(way[0])
    parts = [f"M{x + WIDTH:g} {y + HEIGHT / 2:g}"]
    for one, other in pairwise(way):
        (x, y), (to_x, to_y) = _corner(one), _corner(other)
        bend, middle, end = x + WIDTH + _ACROSS / 2, y + HEIGHT / 2, to_y + HEIGHT / 2
        parts.append(f"C{bend:g} {middle:g} {bend:g} {end:g} {to_x:g} {end:g}")
        if other is not way[-1]:
            parts.append(f"H{to_x + WIDTH:g}")
    return "".join(parts)
