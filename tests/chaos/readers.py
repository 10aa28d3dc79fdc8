"""Readers of the feed, who go on where it broke off, and those who only keep connections."""

import asyncio
import json
import time
from array import array
from collections import deque
from contextlib import suppress
from typing import Any

from tests.chaos.clients import Client, Scene
from tests.chaos.history import Told
from tests.chaos.ranking import millis
from tests.chaos.wire import BASE, Address, UnsentError, Wire, request


class Reader(Client):
    """Reads events at one server after the other. `tells` passes them on; `slow` stops reading now and then."""

    def __init__(self, scene: Scene, name: str, *, addresses: list[Address] | None = None, tells: bool = False) -> None:
        super().__init__(scene, name)
        self.ids = array("q")
        self.resets: list[str] = []
        self.begun = asyncio.Event()
        self._addresses = addresses or scene.addresses
        self._tells = tells
        self._last: str | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                with suppress(OSError, EOFError, UnsentError, TimeoutError):
                    await self._follow(self.chance.choice(self._addresses))
            finally:
                self.wire.close()
            await asyncio.sleep(0.05)

    async def _follow(self, address: Address) -> None:
        reader, writer = await self.wire.connect(address)
        resume = "" if self._last is None else f"last-event-id: {self._last}\r\n"
        # In the old version an answer without a length is not cut into chunks.
        writer.write(f"GET {BASE}/events HTTP/1.0\r\nhost: localhost\r\n{resume}\r\n".encode())
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            return
        frame: dict[str, str] = {}
        while True:
            async with asyncio.timeout(20):
                line = (await reader.readline()).decode()
            name, ends, value = line.partition(": ")
            if ends:
                frame[name] = value.rstrip("\n")
            elif line == "\n":
                self._framed(frame)
                frame = {}
                if not self._tells and self.chance.random() < 0.002:
                    await asyncio.sleep(self.chance.uniform(0, 4))
            elif not line:
                return

    def _framed(self, frame: dict[str, str]) -> None:
        if frame.get("event") == "reset":
            self.resets.append(f"{self._last}: {frame.get('data')}")
        if "id" in frame:
            self._last = frame["id"]
            self.begun.set()
            if "data" in frame and "event" not in frame:
                self._hear(int(self._last.rpartition("-")[2]), frame["data"])

    def _hear(self, number: int, data: str) -> None:
        self.ids.append(number)
        if not self._tells:
            return
        event: dict[str, Any] = json.loads(data)
        self.scene.history.event(Told(
            time.monotonic(), self.name, number, event["type"], event["task_id"] or 0, event["work_directory"], event["status"],
            event["data"], millis(event["at"]),
        ))  # fmt: skip


class Loiterer(Client):
    """Opens connections, sends half a request, and stays."""

    async def run(self) -> None:
        """Until it is cancelled."""
        open_: deque[Wire] = deque()
        try:
            while True:
                wire = Wire()
                with suppress(UnsentError, OSError):
                    _, writer = await wire.connect(self.chance.choice(self.scene.addresses))
                    half = request("POST", "/tasks", {"prompt": "x" * 900})
                    writer.write(half[: self.chance.randrange(len(half) - 1)])
                    open_.append(wire)
                if len(open_) > 20:
                    open_.popleft().close()
                await asyncio.sleep(self.chance.uniform(0.2, 1))
        finally:
            for wire in open_:
                wire.close()
