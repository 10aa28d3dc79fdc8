"""A way to PostgreSQL on which no doorbell is heard: all messages go through but NotificationResponse."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import quote, urlencode

import psycopg

_NOTIFICATION: Final = b"A"
_HEAD: Final = 5
_AT_ONCE: Final = 65_536


class Muffled:
    """Without TLS every message of a backend, the first one too, is a letter and the length of the rest."""

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self.port = 0
        self.swallowed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, ready: threading.Event, end: asyncio.Event) -> None:
        """Take connections until the end."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await end.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        backend, to_backend = await asyncio.open_connection(*self._server)
        for way in (self._through(client, to_backend), self._sifted(backend, to_client)):
            task = asyncio.create_task(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _through(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with _hanging_up(target):
            while data := await source.read(_AT_ONCE):
                target.write(data)
                await target.drain()

    async def _sifted(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        held = b""
        with _hanging_up(target):
            while data := await source.read(_AT_ONCE):
                passed, held = self._sift(held + data)
                target.write(passed)
                await target.drain()

    def _sift(self, data: bytes) -> tuple[bytes, bytes]:
        """The whole messages that go on, and the beginning of one that has not come whole."""
        passed, at = [], 0
        while len(data) - at >= _HEAD:
            end = at + 1 + int.from_bytes(data[at + 1 : at + _HEAD], "big")
            if end > len(data):
                break
            if data[at : at + 1] == _NOTIFICATION:
                self.swallowed += 1
            else:
                passed.append(data[at:end])
            at = end
        return b"".join(passed), data[at:]


@contextmanager
def _hanging_up(target: asyncio.StreamWriter) -> Iterator[None]:
    """When one side hangs up, so does the other."""
    with suppress(ConnectionError):
        try:
            yield
        finally:
            target.close()


@contextmanager
def muffled(url: str) -> Iterator[tuple[str, Muffled]]:
    """The same database, behind a proxy in a thread of its own: servers connect while they are waited for."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    proxy = Muffled(str(parts["host"]), int(parts.get("port") or 5432))
    ready, loop, end = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(proxy.serve(ready, end),), daemon=True)
    thread.start()
    try:
        if not ready.wait(10):
            raise SystemExit("the proxy did not start")
        # Encrypted, nobody could look for the messages.
        way = {"host": "127.0.0.1", "port": proxy.port, "sslmode": "disable", "gssencmode": "disable"}
        query = urlencode({name: value for name, value in (parts | way).items() if value is not None}, quote_via=quote)
        yield f"postgresql:///?{query}", proxy
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()
