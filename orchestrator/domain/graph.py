"""The steps of a workflow as a graph: their order, and who comes before and after whom."""

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from worker_client.contract.workflows import Step
from worker_client.errors import ValidationFailed

_SHOWN: Final = 20
"""Steps of a cycle that a message names."""


class Graph:
    """Steps in an order in which each comes after those that it depends on; else they stand as they were sent.

    Raises ValidationFailed for ids that stand twice, steps that there are not, and cycles.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.places = _places(steps)
        for place, step in enumerate(steps):
            for at, before in enumerate(step.depends_on):
                if before not in self.places:
                    raise ValidationFailed(
                        f"step {step.id} depends on {before}, which is no step: known are {_names(self.places)}",
                        field=f"steps[{place}].depends_on[{at}]",
                        value=before,
                    )
        self.steps = _arranged(steps, self.places)
        self._after: dict[str, list[str]] = {step.id: [] for step in steps}
        for step in self.steps:
            for before in set(step.depends_on):
                self._after[before].append(step.id)

    def after(self, ids: Iterable[str]) -> set[str]:
        """All steps that depend on one of these, however far."""
        found: set[str] = set()
        open_ids = list(ids)
        while open_ids:
            fresh = [step_id for step_id in self._after[open_ids.pop()] if step_id not in found]
            found.update(fresh)
            open_ids += fresh
        return found

    def before(self) -> dict[str, int]:
        """By step, all those that it depends on, however far, as bits by their place: sets would grow with the square."""
        found: dict[str, int] = {}
        for step in self.steps:
            bits = 0
            for before in step.depends_on:
                bits |= found[before] | 1 << self.places[before]
            found[step.id] = bits
        return found


def _places(steps: Sequence[Step]) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, step in enumerate(steps):
        if step.id in places:
            raise ValidationFailed(
                f"two steps have the id {step.id}, at {places[step.id]} and {place}: give one of them another",
                field=f"steps[{place}].id",
                value=step.id,
            )
        places[step.id] = place
    return places


def _arranged(steps: Sequence[Step], places: Mapping[str, int]) -> list[Step]:
    open_edges = [len(set(step.depends_on)) for step in steps]
    after: list[list[int]] = [[] for _ in steps]
    for place, step in enumerate(steps):
        for before in set(step.depends_on):
            after[places[before]].append(place)
    ready = [place for place, count in enumerate(open_edges) if not count]
    heapify(ready)
    arranged: list[Step] = []
    while ready:
        place = heappop(ready)
        arranged.append(steps[place])
        for later in after[place]:
            open_edges[later] -= 1
            if not open_edges[later]:
                heappush(ready, later)
    if len(arranged) < len(steps):
        raise _cyclic(steps, places, {place for place, count in enumerate(open_edges) if count})
    return arranged


def _cyclic(steps: Sequence[Step], places: Mapping[str, int], left: set[int]) -> ValidationFailed:
    """The refusal that names one of the cycles; each of the steps that are left depends on another one of them."""
    walked: dict[int, None] = {}
    place = min(left)
    while place not in walked:
        walked[place] = None
        place = next(at for before in steps[place].depends_on if (at := places[before]) in left)
    cycle = list(walked)[list(walked).index(place) :]
    path = [steps[at].id for at in [*cycle, place]]
    shown = path if len(path) <= _SHOWN else [*path[: _SHOWN - 1], f"... ({len(cycle)} steps)", path[-1]]
    return ValidationFailed(
        f"the steps wait for each other: {' -> '.join(shown)} (each depends on the next); take one of these out of `depends_on`",
        field=f"steps[{place}].depends_on",
        cycle=path,
    )


def _names(places: Iterable[str]) -> str:
    names = list(places)
    return ", ".join(names if len(names) <= _SHOWN else [*names[:_SHOWN], "..."])
