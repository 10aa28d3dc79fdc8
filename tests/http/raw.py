"""A bare connection: what a client does that keeps to no rule."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 20


class Raw:
    """Sends bytes, and tells what came back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, *, window: int = 0) -> "AsyncIterator[Raw]":
        """Connected; `window`: bytes that the kernel takes for a client that does not read."""
        parts = urlsplit(address)
        peer = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        peer.setblocking(False)
        if window:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        await asyncio.get_running_loop().sock_connect(peer, (parts.hostname, parts.port))
        reader, writer = await asyncio.open_connection(sock=peer, limit=window or 2**20)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    @property
    def port(self) -> int:
        """Ours."""
        port: int = self.writer.get_extra_info("sockname")[1]
        return port

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def answer(self, patience: float = PATIENCE_S) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        async with asyncio.timeout(patience):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = (line.partition(": ") for line in head.strip().split("\r\n")[1:])
            headers = {name.lower(): value for name, _, value in lines}
            return int(head.split()[1]), headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def refusal(self) -> tuple[int, dict[str, Any]]:
        """Status and `error` of the next answer."""
        status, _, body = await self.answer()
        error: dict[str, Any] = json.loads(body)["error"]
        return status, error

    async def rest(self) -> bytes:
        """Everything until the other end closes; nothing more when it breaks off."""
        found = b""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while part := await self.reader.read(2**16):
                    found += part
            except ConnectionError:
                pass
        return found


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """A request, with its length when it has a body and the headers do not say."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", *headers]
    if body and not any(line.startswith(("content-length", "transfer-encoding")) for line in lines):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
