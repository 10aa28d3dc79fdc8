"""A bare HTTP/1.1 connection: what it got, to the byte, and cheap enough for ten thousand calls."""

import asyncio
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode


class Got(NamedTuple):
    """An answer as it came: head and body in one."""

    status: int
    text: str

    @property
    def body(self) -> Any:
        """The body's JSON; None when there is none."""
        body = self.text.partition("\r\n\r\n")[2]
        return json.loads(body) if body.startswith("{") else None

    @property
    def data(self) -> Any:
        """`data` of the envelope."""
        return None if self.body is None else self.body.get("data")


class Asked(NamedTuple):
    """A request: what is sent is all that an answer may repeat."""

    method: str
    path: str
    query: Mapping[str, Any] = MappingProxyType({})
    body: Any = None

    def encode(self, key: str) -> bytes:
        query = f"?{urlencode(self.query, doseq=True)}" if self.query else ""
        body = b"" if self.body is None else json.dumps(self.body).encode()
        head = f"{self.method} /api/v1{self.path}{query} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n"
        return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    @property
    def text(self) -> str:
        """All that it says."""
        return json.dumps([self.path, dict(self.query), self.body], ensure_ascii=False)


class Wire:
    """One connection with one key."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self._reader, self._writer, self._key = reader, writer, key

    @classmethod
    async def open(cls, address: str, key: str) -> "Wire":
        host, port = address.removeprefix("http://").split(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=2**24), key)

    async def ask(self, asked: Asked) -> Got:
        self._writer.write(asked.encode(self._key))
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        lines = (line.partition(":") for line in head.split("\r\n")[1:])
        length = next((int(value) for name, _, value in lines if name.lower() == "content-length"), 0)
        return Got(int(head[9:12]), head + (await self._reader.readexactly(length)).decode())

    async def follow(self, path: str, heard: list[str]) -> None:
        """Read what is streamed, until the other end closes."""
        self._writer.write(Asked("GET", path).encode(self._key))
        while part := await self._reader.read(2**16):
            heard.append(part.decode())

    def close(self) -> None:
        self._writer.close()
