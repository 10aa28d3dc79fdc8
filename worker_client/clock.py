"""The time that leases are measured by."""

import asyncio
from typing import Protocol

from worker_client.guardian.clock import boot_clock


class Clock(Protocol):
    """Seconds that never go back and go on while the machine is suspended."""

    def now(self) -> float:
        """Seconds since some moment."""

    async def sleep(self, seconds: float) -> None:
        """Wait; may last longer by the time of a suspension."""


class BootClock:
    """The machine's own."""

    def __init__(self) -> None:
        self._read = boot_clock()

    def now(self) -> float:
        """Seconds since the machine started."""
        return self._read()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
