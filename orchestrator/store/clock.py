"""Time that never goes back."""

import time
from collections.abc import Callable

from orchestrator.domain.task import Millis


def wall_ms() -> Millis:
    """The wall clock."""
    return time.time_ns() // 1_000_000


def steady_ms() -> Millis:
    """Milliseconds that also pass while the machine sleeps, where the platform tells."""
    clock = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)
    if clock is None:
        return time.monotonic_ns() // 1_000_000
    return time.clock_gettime_ns(clock) // 1_000_000


class Clock:
    """The wall clock, read once, and carried on by a clock that nobody sets; `wall` is read anew each time."""

    def __init__(self, wall: Callable[[], Millis] = wall_ms, steady: Callable[[], Millis] = steady_ms) -> None:
        self.wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._last = 0

    def not_before(self, at: Millis) -> None:
        """Go on from `at` when the clock stands before it: what is in the database has happened."""
        behind = at - (self._steady() + self._offset)
        if behind > 0:
            self._offset += behind

    def now(self) -> Millis:
        """Milliseconds since 1970."""
        self._last = max(self._last, self._steady() + self._offset)
        return self._last
