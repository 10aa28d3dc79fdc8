"""For how long a server could not have taken a heartbeat."""

from typing import Final

from orchestrator.domain.task import Millis

GAP_MS: Final = 5_000
"""A longer time without a sign of the database, while leases were live, is given back to them."""
SIGN_MS: Final = 2_500
"""So old is, at the most, what a living server on the same database wrote last: with leases there it does so every 2 s."""


class Pulse:
    """Told whenever the database answered; a gap that an answer ended is remembered until leases were given it back."""

    def __init__(self) -> None:
        self._at: Millis = 0
        self._missed: Millis = 0

    def start(self, now: Millis) -> None:
        """Nothing is missed."""
        self._at, self._missed = now, 0

    def beat(self, now: Millis) -> None:
        """The database answered."""
        self._at, self._missed = now, self.gap(now)

    def gap(self, now: Millis) -> Millis:
        """How much time leases are to be given back; 0 when none."""
        quiet = now - self._at
        return self._missed + (quiet if quiet > GAP_MS else 0)
