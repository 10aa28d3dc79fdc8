"""A small HTTP/1.1 client that costs little, so that the server is what is measured."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from statistics import median, quantiles
from typing import Any, TypeVar, cast

import uvloop
from msgspec import Struct

T = TypeVar("T")


class Request(Struct, frozen=True):
    """What goes over the wire, encoded beforehand."""

    data: bytes

    @classmethod
    def build(cls, method: str, path: str, body: bytes = b"", bearer: str = "") -> "Request":
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        if bearer:
            head += f"authorization: Bearer {bearer}\r\n"
        if body:
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        return cls(head.encode() + b"\r\n" + body)


class Result(Struct, frozen=True):
    """Rate in answers a second, times in milliseconds, and the part of a core that the client itself took."""

    rate: float
    p50: float
    p99: float
    busy: float

    @classmethod
    def of(cls, seconds: list[float], elapsed: float, cpu: float) -> "Result":
        return cls(len(seconds) / elapsed, 1000 * median(seconds), 1000 * quantiles(seconds, n=100)[98], cpu / elapsed)


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request under way."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or self._answer is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(rest) >= length:
            self._buffer = b""
            if head[9:10] == b"2":
                self._answer.set_result(rest)
            else:
                self._answer.set_exception(RuntimeError(f"{head[9:12].decode()}: {rest.decode()}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server hung up"))

    async def send(self, request: Request) -> bytes:
        """The body of the answer. Raises RuntimeError for any status but 2xx, ConnectionError when the server hung up."""
        if self._transport.is_closing():
            raise ConnectionError("the server hung up while nothing was asked")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request.data)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


def run(measured: Coroutine[Any, Any, T]) -> T:
    """On uvloop, as the client must not be what is slow."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measured)


async def connect(address: tuple[str, int], count: int) -> list[Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Connection, *address))[1] for _ in range(count)]


async def drive(
    connections: list[Connection], requests: list[Request], answered: Callable[[bytes], object] | None = None
) -> Result:
    """Send all requests over the connections, each as soon as one is free."""
    remaining = iter(requests)
    seconds: list[float] = []

    async def work(connection: Connection) -> None:
        for request in remaining:
            started = time.perf_counter()
            body = await connection.send(request)
            seconds.append(time.perf_counter() - started)
            if answered is not None:
                answered(body)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(connection) for connection in connections))
    return Result.of(seconds, time.perf_counter() - started, time.process_time() - cpu)
