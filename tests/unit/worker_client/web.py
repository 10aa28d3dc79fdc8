"""A small HTTP server, a SOCKS proxy and an HTTP proxy on real sockets of this machine."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx


@dataclass
class Got:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """`answer` makes the bytes to send, None for never; `got`: all that came. `names`: what a proxy was asked for."""

    port: int = 0
    answer: Callable[[Got], bytes | None] = lambda _: reply()
    got: list[Got] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def reply(body: bytes = b"ok", status: int = 200, **headers: str) -> bytes:
    fields = {"content-type": "text/plain", "content-length": str(len(body)), "connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} {httpx.codes.get_reason_phrase(status)}", *(f"{k}: {v}" for k, v in fields.items() if v)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _read(reader: asyncio.StreamReader) -> Got:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, target, _ = first.split(" ")
    return Got(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), 1)


@asynccontextmanager
async def _listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    running: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me is not None
        running.add(me)
        try:
            await serve(reader, writer)  # type: ignore[misc]
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            await _close(writer)
            running.discard(me)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def website(answer: Callable[[Got], bytes | None] | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    web = Web()
    if answer is not None:
        web.answer = answer
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: web.server_names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await _read(reader)
        web.got.append(got)
        answer = web.answer(got)
        if answer is None:
            await asyncio.Event().wait()
        writer.write(answer or b"")
        await writer.drain()

    async with _listening(serve, tls) as web.port:
        yield web


async def _between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: tuple[str, int], begin: bytes = b"") -> None:
    there, back = await asyncio.open_connection(*to)
    back.write(begin)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
        sink.close()

    try:
        await asyncio.gather(pump(reader, back), pump(there, writer))
    finally:
        await _close(back)


@asynccontextmanager
async def socks_proxy(to: Web, user: str | None = None) -> AsyncIterator[Web]:
    """Whatever address is asked for, it is the website's port there, as if that were it."""
    proxy = Web()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        if user is not None:
            assert 2 in methods
            writer.write(b"\x05\x02")
            _, length = await reader.readexactly(2)
            name = await reader.readexactly(length)
            await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(b"\x01\x00" if name == user.encode() else b"\x01\x01")
        else:
            writer.write(b"\x05\x00")
        *_, kind = await reader.readexactly(4)
        if kind == 1:
            proxy.names.append(".".join(map(str, await reader.readexactly(4))))
        else:
            proxy.names.append((await reader.readexactly((await reader.readexactly(1))[0])).decode())
        await reader.readexactly(2)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await _between(reader, writer, ("127.0.0.1", to.port))

    async with _listening(serve) as proxy.port:
        yield proxy


@asynccontextmanager
async def http_proxy(to: Web) -> AsyncIterator[Web]:
    """The same for CONNECT, and for requests with whole addresses."""
    proxy = Web()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await _read(reader)
        proxy.got.append(got)
        proxy.names.append(got.target)
        if got.method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await _between(reader, writer, ("127.0.0.1", to.port))
        else:
            lines = [f"{got.method} {httpx.URL(got.target).raw_path.decode()} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in got.headers.items()]
            await _between(reader, writer, ("127.0.0.1", to.port), "\r\n".join(lines).encode() + b"\r\n\r\n" + got.body)

    async with _listening(serve) as proxy.port:
        yield proxy
