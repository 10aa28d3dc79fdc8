"""A way to a server that does what networks do: hang up in mid-answer, swallow answers, delay, and keep half of a connection."""

import asyncio
import random
from contextlib import suppress
from typing import Final

from tests.chaos.wire import Address

FAULTS: Final = ("cut", "swallow", "delay", "deaf", "hide")
_DEAF_S: Final = 15.0


class Link:
    """Listens, and passes on to `to`; `weather` says what befalls connections, each with some probability."""

    def __init__(self, to: Address, chance: random.Random) -> None:
        self._to = to
        self._chance = chance
        self._listener: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self.weather: str | None = None
        self.address: Address = ("127.0.0.1", 0)

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.address = "127.0.0.1", self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me is not None
        self._pumps.add(me)
        me.add_done_callback(self._pumps.discard)
        there = None
        try:
            from_server, there = await asyncio.open_connection(*self._to)
            up = asyncio.create_task(self._pump(reader, there, answers=False))
            down = asyncio.create_task(self._pump(from_server, writer, answers=True))
            try:
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
                if self.weather == "hide":
                    # The client has gone, and the server does not hear of it for a while.
                    await asyncio.wait((down,), timeout=_DEAF_S)
            finally:
                up.cancel()
                down.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, there):
                if one is not None:
                    one.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        with suppress(OSError):
            while chunk := await source.read(2**16):
                match self.weather if self._chance.random() < 0.5 else None:
                    case "cut" if answers:
                        sink.write(chunk[: self._chance.randrange(len(chunk))])
                        await sink.drain()
                        return
                    case "swallow" if answers:
                        await asyncio.sleep(_DEAF_S)
                        return
                    case "deaf" if not answers:
                        await asyncio.sleep(_DEAF_S)
                        return
                    case "delay":
                        await asyncio.sleep(self._chance.uniform(0, 1.5))
                sink.write(chunk)
                await sink.drain()
