"""Answers that are held, and streams: who may no longer come in does not stay, either."""

import asyncio
from collections.abc import Callable
from typing import Any

from orchestrator.doors.keyring import Caller

Waiting = asyncio.Future[Any]


class Held:
    """What callers wait for. `stands`: whether one may still be here."""

    def __init__(self, stands: Callable[[Caller], bool]) -> None:
        self._stands = stands
        self._waiting: dict[Waiting, Caller] = {}
        self._ended: set[Waiting] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, waiting: Waiting, caller: Caller) -> None:
        """Somebody waits; whoever has lost their key since they asked does not begin to."""
        self._waiting[waiting] = caller
        if not self._stands(caller):
            self._end(waiting)

    def ended(self, waiting: Waiting) -> bool:
        """Whether a wait was ended from here."""
        return waiting in self._ended

    def over(self, waiting: Waiting) -> None:
        """The wait is over."""
        del self._waiting[waiting]
        self._ended.discard(waiting)

    def sift(self) -> None:
        """End the waits of those who may no longer be here."""
        for waiting, caller in list(self._waiting.items()):
            if not self._stands(caller):
                self._end(waiting)

    def _end(self, waiting: Waiting) -> None:
        # What has just come true reaches its asker.
        if waiting.cancel():
            self._ended.add(waiting)
