"""Which version of a program this is, for those that don't say so in their output."""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from typing import Final

from worker_client.processes import ProcessTree

PATIENCE_SECONDS: Final = 20.0
_NUMBER: Final = re.compile(r"\d+\.\d+[\w.+-]*")


class Versions:
    """Asks each program once."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}
        self._asking = asyncio.Lock()

    async def of(self, program: str, environment: Mapping[str, str]) -> str | None:
        """The version it prints with `--version`; None when it prints none in time."""
        async with self._asking:
            if program not in self._known:
                self._known[program] = await _ask(program, environment)
            return self._known[program]


async def _ask(program: str, environment: Mapping[str, str]) -> str | None:
    printed = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            async with await ProcessTree.start([program, "--version"], directory="/", environment=environment) as tree:
                printed, _, _ = await asyncio.gather(tree.stdout.read(), tree.stderr.read(), tree.wait())
    found = _NUMBER.search(printed.decode(errors="replace"))
    return found[0] if found else None
