"""Has the commands in force be what their files say."""

import asyncio
from typing import Final

import structlog

from orchestrator.commands.keeper import Keeper

log = structlog.get_logger()

EVERY_S: Final = 1.0


class Librarian:
    """Looks every second: changes of files are told in other ways on each system, and in none on shared folders."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self._keeper.look()
            except Exception:
                log.exception("looking at the commands failed and goes on")
