"""Where the parts of a graph stand when it is drawn: in layers, each node right of all that it follows, few lines crossing.

The longest way to a node is its layer; long edges get a place in each layer that they pass, so that no node is drawn over; the
order within layers is that of the neighbours' (barycentres), and the places are as near to theirs as the order allows.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, Generic, TypeVar

from msgspec import Struct

K = TypeVar("K", bound=Hashable)
_SWEEPS: Final = 6
Point = tuple[int, float]
"""A layer, and a place in it; places are 1 apart at least."""


class Layout(Struct, Generic[K], frozen=True):
    """The points of the nodes, the points that each edge goes through, and how many layers and places that takes."""

    nodes: Mapping[K, Point]
    edges: Mapping[tuple[K, K], Sequence[Point]]
    layers: int
    height: float


def layered(nodes: Sequence[K], edges: Iterable[tuple[K, K]]) -> Layout[K]:
    """A layout; edges from or to what is no node, and those that would close a circle, are left out."""
    known = set(nodes)
    given = [edge for edge in dict.fromkeys(edges) if known.issuperset(edge) and edge[0] != edge[1]]
    depth = _depths(nodes, given)
    kept = [(start, end) for start, end in given if depth[start] < depth[end]]
    grid = _Grid(len(nodes))
    number = {node: place for place, node in enumerate(nodes)}
    for node in nodes:
        grid.put(number[node], depth[node])
    ways = {(start, end): grid.link(number[start], number[end], depth[start], depth[end]) for start, end in kept}
    grid.order()
    places = grid.places()
    points = {part: (layer, places[part]) for layer, row in enumerate(grid.rows) for part in row}
    return Layout(
        nodes={node: points[number[node]] for node in nodes},
        edges={edge: [points[part] for part in way] for edge, way in ways.items()},
        layers=len(grid.rows),
        height=max(places.values(), default=-1.0) + 1,
    )


def _depths(nodes: Sequence[K], edges: Sequence[tuple[K, K]]) -> dict[K, int]:
    """The length of the longest way to each node; what lies on a circle counts as if nothing led to it."""
    after: dict[K, list[K]] = {node: [] for node in nodes}
    open_: dict[K, int] = dict.fromkeys(nodes, 0)
    for start, end in edges:
        after[start].append(end)
        open_[end] += 1
    depth: dict[K, int] = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if not open_[node]]
    for node in ready:
        for follower in after[node]:
            depth[follower] = max(depth[follower], depth[node] + 1)
            open_[follower] -= 1
            if not open_[follower]:
                ready.append(follower)
    done = set(ready)
    return {node: depth[node] if node in done else 0 for node in nodes}


class _Grid:
    """Rows of parts: nodes by their numbers, and further numbers for where an edge passes a layer."""

    def __init__(self, first: int) -> None:
        self.rows: list[list[int]] = []
        self._next = first
        self._before: dict[int, list[int]] = {}
        self._after: dict[int, list[int]] = {}

    def put(self, part: int, layer: int) -> None:
        """Add a part to a layer."""
        while len(self.rows) <= layer:
            self.rows.append([])
        self.rows[layer].append(part)
        self._before[part], self._after[part] = [], []

    def link(self, start: int, end: int, first: int, last: int) -> list[int]:
        """The parts of an edge from layer to layer."""
        way = [start]
        for layer in range(first + 1, last):
            self.put(self._next, layer)
            way.append(self._next)
            self._next += 1
        way.append(end)
        for one, other in pairwise(way):
            self._after[one].append(other)
            self._before[other].append(one)
        return way

    def order(self) -> None:
        """Order each layer by where the neighbours are, forth and back."""
        for sweep in range(_SWEEPS):
            forth = sweep % 2 == 0
            beside = self._before if forth else self._after
            layers = self.rows if forth else self.rows[::-1]
            for previous, row in pairwise(layers):
                place = {part: index for index, part in enumerate(previous)}
                own = {part: index for index, part in enumerate(row)}
                centre = {part: _mean([place[one] for one in beside[part]], own[part]) for part in row}
                row.sort(key=lambda part: (centre[part], own[part]))

    def places(self) -> dict[int, float]:
        """A place for each part, in the order of its layer."""
        found: dict[int, float] = {part: float(index) for row in self.rows for index, part in enumerate(row)}
        for sweep in range(_SWEEPS):
            beside = self._before if sweep % 2 == 0 else self._after
            for row in self.rows if sweep % 2 == 0 else self.rows[::-1]:
                wanted = [_mean([found[one] for one in beside[part]], found[part]) for part in row]
                found.update(zip(row, _apart(wanted), strict=True))
        least = min(found.values(), default=0.0)
        return {part: round(place - least, 3) for part, place in found.items()}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _apart(wanted: Sequence[float]) -> list[float]:
    """Places in this order, 1 apart at least, as near as that allows to those that are wanted (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for index, want in enumerate(wanted):
        pools.append((want - index, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            (total, count), (more, others) = pools[-2], pools[-1]
            pools[-2:] = [(total + more, count + others)]
    levels = [total / count for total, count in pools for _ in range(count)]
    return [level + index for index, level in enumerate(levels)]
