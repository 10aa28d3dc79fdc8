"""How many answers each key may have held at the same time, and how much of bodies that are not whole yet there is."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from orchestrator.http.scope import Asked, principal
from worker_client.errors import RateLimited

Held = Literal["polls", "streams"]
_WORDS = {"polls": "calls that wait", "streams": "readers of events"}


class Slots:
    """Counts what is held, by what it is and whose; and bytes of bodies."""

    def __init__(self) -> None:
        self._taken: Counter[tuple[str, str]] = Counter()
        self._gathered = 0

    @contextmanager
    def gathering(self) -> Iterator[Callable[[int], int]]:
        """Count one body: told how many bytes it has by now, it tells how many all have."""
        own = 0

        def grown(to: int) -> int:
            nonlocal own
            self._gathered += to - own
            own = to
            return self._gathered

        try:
            yield grown
        finally:
            self._gathered -= own

    def held(self, what: Held) -> int:
        """How many all keys together have."""
        return sum(count for (one, _), count in self._taken.items() if one == what)

    def full(self, what: Held, by: str, most: int) -> bool:
        """Whether there is no place left."""
        return self._taken[what, by] >= most

    def taken(self, what: Held, by: str, most: int) -> AbstractContextManager[None]:
        """One place, for as long as it is held. Raises RateLimited."""
        if self.full(what, by, most):
            raise RateLimited(
                f"this key has {most} {_WORDS[what]} at once, as many as it may: end some, or raise limits.{what}_per_key",
                limit=most,
            )
        return _Place(self._taken, (what, by))


class _Place:
    """Thousands are held: a generator would cost each of them five times as much."""

    __slots__ = ("_key", "_taken")

    def __init__(self, taken: Counter[tuple[str, str]], key: tuple[str, str]) -> None:
        self._taken = taken
        self._key = key

    def __enter__(self) -> None:
        self._taken[self._key] += 1

    def __exit__(self, *_: object) -> None:
        self._taken[self._key] -= 1
        if not self._taken[self._key]:
            del self._taken[self._key]


def slot(request: Asked, what: Held) -> AbstractContextManager[None]:
    """A place for an answer that is held. Raises RateLimited."""
    slots: Slots = request.app.state.slots
    return slots.taken(what, principal(request).id, _most(request, what))


def full(request: Asked, what: Held) -> bool:
    """Whether whoever asks has no place left."""
    slots: Slots = request.app.state.slots
    return slots.full(what, principal(request).id, _most(request, what))


def _most(request: Asked, what: Held) -> int:
    limits = request.app.state.settings.limits
    most: int = limits.polls_per_key if what == "polls" else limits.streams_per_key
    return most
