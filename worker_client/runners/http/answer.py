"""What came back: its status, some of its headers, and as much of its body as is kept."""

import time
import zlib
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

KEPT_BYTES: Final = 1024 * 1024
HEADERS: Final = ("content-type", "content-length", "date", "etag", "last-modified", "location", "retry-after", "server")
_LONGEST_HEADER: Final = 1000
_GZIP_OR_ZLIB: Final = 47


class Answer(Struct):
    """`cut`: there was more than is kept."""

    status: int
    headers: dict[str, str]
    text: str
    cut: bool
    ms: int

    def result(self) -> dict[str, Any]:
        """As a task's result: a body that is JSON as what it says, any other as text."""
        return {"status": self.status, "headers": self.headers, "body": self._body(), "ms": self.ms, "cut": self.cut}

    def excerpt(self) -> dict[str, Any]:
        """As details of a failure."""
        return {**self.result(), "body": self.text[:2000]}

    def _body(self) -> Any:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.cut or not (kind == "application/json" or kind.endswith("+json")):
            return self.text
        try:
            return msgspec.json.decode(self.text)
        except (msgspec.DecodeError, RecursionError):
            return self.text


async def read(response: httpx.Response, *, started: float) -> Answer:
    """Read as much as is kept, and no more."""
    raw = bytearray()
    async for chunk in response.aiter_raw():
        raw += chunk
        if len(raw) > KEPT_BYTES:
            break
    content, more = _decoded(bytes(raw[:KEPT_BYTES]), response.headers.get("content-encoding", "identity").lower())
    return Answer(
        status=response.status_code,
        headers={name: response.headers[name][:_LONGEST_HEADER] for name in HEADERS if name in response.headers},
        # NUL is what databases refuse.
        text=_text(content, response.charset_encoding).replace("\0", "\ufffd"),
        cut=more or len(raw) > KEPT_BYTES,
        ms=round((time.monotonic() - started) * 1000),
    )


def _decoded(content: bytes, encoding: str) -> tuple[bytes, bool]:
    """Uncompressed, so far as it is kept; a small answer may become a very large one."""
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        return content, False
    engine = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = engine.decompress(content, KEPT_BYTES)
    except zlib.error:
        return content, False
    return plain, bool(engine.unconsumed_tail)


def _text(content: bytes, charset: str | None) -> str:
    try:
        return content.decode(charset or "utf-8", errors="replace")
    except LookupError:
        return content.decode(errors="replace")
