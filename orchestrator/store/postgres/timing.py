"""The time of a database that others set, too."""

from collections.abc import Callable
from typing import Final

from orchestrator.domain.task import Millis
from orchestrator.store.clock import steady_ms

JUMP_MS: Final = 1_000
"""A clock that was set forward by more is noticed, and leases are given it back."""


class Time:
    """The database's clock as last heard, carried on by a clock that nobody sets; it never goes back."""

    def __init__(self, steady: Callable[[], Millis] = steady_ms) -> None:
        self._steady = steady
        self._jump = 0
        self._offset: Millis | None = None
        self._ahead = 0
        self._last = 0
        self._asked = steady()

    def asks(self) -> None:
        """The database is about to be asked."""
        self._asked = self._steady()

    def heard(self, at: Millis, alive_at: Millis) -> tuple[Millis, int]:
        """The time of a transaction that the database says is `at`, and how far its clock was set forward since the last commit.

        `alive_at`: what has been written down has happened, so when the clock was set back, time goes on from there; and from
        what had passed for certain when the database was asked, or all that has passed since then would be missed later.
        """
        if at >= alive_at:
            self._ahead = 0
        elif at + self._ahead < alive_at:
            passed = 0 if self._offset is None else self._asked + self._offset
            self._ahead = max(alive_at, passed) - at
        offset = at + self._ahead - self._steady()
        jump = 0 if self._offset is None else offset - self._offset
        self._offset = offset
        self._last = max(self._last, at + self._ahead)
        if jump > JUMP_MS:
            self._jump += jump
        return self._last, self._jump

    def committed(self) -> None:
        """Leases have been given back what the clock jumped."""
        self._jump = 0

    def now(self) -> Millis:
        """The time without asking."""
        self._last = max(self._last, self._steady() + (self._offset or 0))
        return self._last
