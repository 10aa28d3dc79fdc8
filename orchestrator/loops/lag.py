"""Measures how late the event loop is: what it does too long at a time, or the machine has no time for, all others wait for."""

import asyncio
from typing import Final

from orchestrator.telemetry.metrics import Metrics

EVERY_S: Final = 0.5


class Lag:
    """Asks to be woken, and sees when that happens."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self._metrics.loop_lag_seconds.observe(max(0.0, loop.time() - due))
