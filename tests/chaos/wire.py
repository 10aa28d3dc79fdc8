"""HTTP by hand over one connection: it knows whether a request has left, and can stop in the middle of anything."""

import asyncio
import json
from typing import Any, Final

Address = tuple[str, int]
BASE: Final = "/api/v1"


class UnsentError(Exception):
    """Nothing of the request has left."""


class UnknownError(Exception):
    """It has left, and no answer came."""


class Wire:
    """A client's connection, opened when it is needed and closed after any doubt."""

    def __init__(self) -> None:
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def open(self) -> bool:
        return self._writer is not None and not self._writer.is_closing()

    def close(self) -> None:
        """Drop it, as a process that is killed does."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def connect(self, address: Address, patience: float = 3) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The open connection, or a new one."""
        if self._reader is None or self._writer is None or self._writer.is_closing() or self._reader.at_eof():
            self.close()
            try:
                async with asyncio.timeout(patience):
                    self._reader, self._writer = await asyncio.open_connection(*address, limit=2**22)
            except (OSError, TimeoutError) as error:
                raise UnsentError(repr(error)) from None
        assert self._reader is not None
        assert self._writer is not None
        return self._reader, self._writer

    async def ask(self, address: Address, request: bytes, patience: float) -> tuple[int, Any]:
        """Status and JSON of the answer. Raises UnsentError, UnknownError."""
        reader, writer = await self.connect(address)
        try:
            writer.write(request)
            async with asyncio.timeout(patience):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
                body = await reader.readexactly(length)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            self.close()
            raise UnknownError(repr(error)) from None
        except BaseException:
            self.close()
            raise
        if "connection: close" in head:
            self.close()
        return int(head.split(" ", 2)[1]), json.loads(body) if body else None


def request(method: str, path: str, body: Any = None, *headers: str) -> bytes:
    """The bytes of a request."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {BASE}{path} HTTP/1.1", "host: localhost", *headers]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content
