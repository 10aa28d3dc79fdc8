"""The time of a database that others set, too."""

from collections.abc import Callable
from typing import Final

from orchestrator.domain.task import Millis
from orchestrator.store.clock import steady_ms

JUMP_MS: Final = 1_000
"""A clock that was set forward by more is noticed, and leases are given it back."""
ALIVE_MS: Final = 1_000
"""So old is, at the most, what servers have written down of the time when they commit."""


class Time:
    """The servers' time: the database's clock, and how far they have agreed to be ahead of it; it never goes back."""

    def __init__(self, steady: Callable[[], Millis] = steady_ms) -> None:
        self._steady = steady
        self._jump = 0
        self._offset: Millis | None = None
        self._heard = self._last = self._told = 0
        self._asked = steady()
        self._wall_offset: Millis | None = None

    def read(self, at: Millis) -> Millis:
        """The database's clock says `at`."""
        self._wall_offset = at - self._steady()
        return at

    def wall(self) -> Millis:
        """What the database's clock says by now, as far as is known without asking."""
        return self._steady() + (self._wall_offset or 0)

    def asks(self) -> None:
        """The database is about to be asked."""
        self._asked = self._steady()

    def ahead(self, at: Millis, alive_at: Millis, agreed: Millis) -> Millis:
        """How far ahead of the database's clock to be when that says `at`; the others have `agreed` to be so far.

        `alive_at`: what has been written down has happened. When the clock was set back behind that, time goes on from there,
        and from what had passed for certain when the database was asked, or all that has passed since then would be missed.
        """
        if at >= alive_at:
            return 0
        if at + agreed >= alive_at:
            return agreed
        if self._offset is None:
            return alive_at + ALIVE_MS - at
        return max(alive_at, self._asked + self._offset) - at

    def heard(self, at: Millis) -> tuple[Millis, Millis]:
        """The time of a transaction that begins at `at`, and how far time was set forward since the last commit."""
        offset = at - self._steady()
        jump = 0 if self._offset is None else offset - self._offset
        self._offset = offset
        self._heard = max(self._last, at)
        if jump > JUMP_MS:
            self._jump += jump
        return self._heard, self._jump

    def committed(self) -> None:
        """The transaction's time has been, and leases have been given back what the clock jumped."""
        self._last = self._heard
        self._jump = 0

    def now(self) -> Millis:
        """The time without asking."""
        self._told = max(self._told, self._last, self._steady() + (self._offset or 0))
        return self._told
