"""The layout of graphs."""

import time
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dashboard.graphs import HEIGHT, WIDTH, Edge, Node, clipped, drawing
from orchestrator.dashboard.layers import layered

EDGES = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=40)


def crossings(found: dict[tuple[int, int], list[tuple[int, float]]]) -> int:
    """How many straight edges between neighbouring layers cross."""
    parts = [(way[at], way[at + 1]) for way in found.values() for at in range(len(way) - 1)]
    return sum((a[0][1] - b[0][1]) * (a[1][1] - b[1][1]) < 0 for a, b in combinations(parts, 2) if a[0][0] == b[0][0])


def test_a_chain_is_straight() -> None:
    found = layered([1, 2, 3], [(1, 2), (2, 3)])
    assert found.nodes == {1: (0, 0), 2: (1, 0), 3: (2, 0)}
    assert (found.layers, found.height) == (3, 1)


def test_the_longest_way_is_the_layer_and_long_edges_pass_beside_what_is_between() -> None:
    found = layered(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c")])
    assert [found.nodes[node][0] for node in "abc"] == [0, 1, 2]
    (_, passing, _) = found.edges["a", "c"]
    assert passing[0] == 1
    assert abs(passing[1] - found.nodes["b"][1]) >= 1


def test_edges_that_need_not_cross_do_not() -> None:
    found = layered([1, 2, 3, 4, 5, 6], [(1, 6), (2, 5), (3, 4)])
    assert crossings(dict(found.edges)) == 0  # type: ignore[arg-type]


def test_a_fan_is_around_its_middle() -> None:
    found = layered(list(range(8)), [(0, one) for one in range(1, 7)] + [(one, 7) for one in range(1, 7)])
    assert found.nodes[0][1] == found.nodes[7][1] == 2.5


@given(EDGES)
def test_any_graph_has_a_layout_in_which_nothing_is_drawn_over(edges: list[tuple[int, int]]) -> None:
    found = layered(list(range(12)), edges)
    for one, other in combinations(found.nodes.values(), 2):
        assert one[0] != other[0] or abs(one[1] - other[1]) >= 0.99
    for (start, end), way in found.edges.items():
        assert [layer for layer, _ in way] == list(range(found.nodes[start][0], found.nodes[end][0] + 1))
        assert min(place for _, place in way) >= 0
        assert max(place for _, place in way) <= found.height - 0.99
    forwards = {(start, end) for start, end in edges if start < end < 12}
    if forwards == set(edges):
        assert found.edges.keys() == forwards


def test_nothing_is_a_layout_too() -> None:
    found = drawing([], [])
    assert (found.boxes, found.curves) == ([], [])


def test_a_thousand_steps_are_laid_out_soon() -> None:
    begun = time.process_time()
    edges = [(one, one + step) for one in range(1000) for step in (1, 7, 30) if one + step < 1000 and one % 30 < 20]
    found = layered(list(range(1000)), edges)
    assert len(found.nodes) == 1000
    assert time.process_time() - begun < 5


def test_boxes_lie_in_the_picture() -> None:
    nodes = [Node(str(one), f"step {one}", "waiting") for one in range(9)]
    found = drawing(nodes, [Edge(str(one), str(one // 2)) for one in range(1, 9)])
    assert all(0 <= box.x <= found.width - WIDTH and 0 <= box.y <= found.height - HEIGHT for box in found.boxes)
    assert len(found.curves) == 8
    assert all(curve.path.startswith("M") for curve in found.curves)


def test_names_fit_into_boxes() -> None:
    assert clipped("short", 22) == "short"
    assert clipped("x" * 50, 10) == "x" * 9 + "…"
    assert len(clipped("修正购物车总价的四舍五入并更新", 22)) <= 13
    assert clipped("one\ntwo", 10) == "one"
