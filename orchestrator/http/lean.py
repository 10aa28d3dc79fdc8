"""What uvicorn makes for each connection and request, at a part of its size: thousands of them are held."""

import asyncio
from collections import deque
from typing import Any, Literal

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """Without what it takes to wait for a client that does not read, as long as nobody does."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False

    def pause_writing(self) -> None:
        """The client takes nothing more for now."""
        if not self.write_paused:
            self._is_writable_event = asyncio.Event()
        super().pause_writing()


class Event(asyncio.Event):
    """Without a queue of those who wait, as long as nobody does: a deque has room for 64."""

    def __init__(self) -> None:
        self._value = False
        self._waiters: Any = ()

    async def wait(self) -> Literal[True]:
        """Until it is set."""
        if not self._waiters:
            self._waiters = deque()
        return await super().wait()


class Pipeline(list[Any]):
    """Requests that came before the one ahead of them was answered, as hardly any do."""

    def appendleft(self, one: object) -> None:
        """Let one wait for its turn."""
        self.insert(0, one)
