"""What a loop asks for while its transactions fail: less, so that what makes them fail holds up nothing else."""

from typing import Final

from worker_client.errors import Overloaded

MOST_FAILURES: Final = 5
"""In a row: past them what fails is given up."""


class Patience:
    """Counts failures. While there are some, one thing is done at a time; what fails again and again is given up."""

    def __init__(self) -> None:
        self._failures = 0

    def failed(self, error: Exception) -> None:
        """A transaction had no effect; one that was only turned away says nothing about what it was to do."""
        self._failures += not isinstance(error, Overloaded)

    @property
    def careful(self) -> bool:
        """Whether one thing is to be done at a time."""
        return self._failures > 0

    @property
    def over(self) -> bool:
        """Whether the next thing is to be given up."""
        return self._failures > MOST_FAILURES

    def went_well(self, *, more: bool) -> None:
        """A transaction had its effect; when there is no more to do, or what failed was given up, all is well again."""
        self._failures = min(self._failures, 1) if more and not self.over else 0
