"""A receiver of webhooks on a port of its own, that does what a test says, and remembers what it got."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from msgspec import Struct


class Call(Struct, frozen=True):
    """What was sent."""

    headers: dict[str, str]
    raw: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def event(self) -> tuple[str, int | None]:
        """The type, and the task."""
        event = self.body["data"]["event"]
        return event["type"], event["task_id"]


Answer = bytes | None
"""What is answered; None: nothing, the connection is closed."""


def answer(status: int, text: str = "", **headers: str) -> bytes:
    """An answer of HTTP."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(text)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + f"\r\n\r\n{text}").encode()


OK = answer(204)


class Receiver:
    """`behave`: what it answers to a call; `calls`: all, `taken`: those that were answered with a success."""

    def __init__(self) -> None:
        self.behave: Callable[[Call], Any] = lambda _call: OK
        self.calls: list[Call] = []
        self.taken: list[Call] = []
        self.port = 0
        self.bell = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no longer, and leave everybody alone who waits for an answer."""
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.transport.abort()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            pairs = (line.partition(":") for line in head.split("\r\n")[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            call = Call(headers, await reader.readexactly(int(headers.get("content-length", "0"))))
            self.calls.append(call)
            self.bell.set()
            said = self.behave(call)
            if asyncio.iscoroutine(said):
                said = await said
            if said is not None:
                if said.startswith(b"HTTP/1.1 2"):
                    self.taken.append(call)
                writer.write(said)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            self.bell.set()
            writer.close()

    async def until(self, holds: Callable[[], object], *, patience: float = 30) -> None:
        """Wait for calls until something holds."""
        async with asyncio.timeout(patience):
            while not holds():
                self.bell.clear()
                await self.bell.wait()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver()
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()
