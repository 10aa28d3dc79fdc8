"""A real HTTP server on a real socket, in a thread of its own, that answers as a test tells it to."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from worker_client.contract.tasks import Task

NOW = "2026-11-20T10:00:00Z"


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass
class Reply:
    """What to answer: `data`, or an `error` with its code, or `raw` bytes."""

    status: int = 200
    data: Any = None
    error: tuple[str, str, dict[str, Any]] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None

    def encoded(self) -> bytes:
        """The answer's bytes."""
        content = self.raw
        if content is None:
            error = None
            if self.error is not None:
                error = dict(zip(("code", "message", "details"), self.error, strict=True))
            content = json.dumps({"success": error is None, "data": self.data, "error": error, "timestamp": NOW}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(content)), **self.headers}
        if not headers["content-length"]:
            del headers["content-length"]
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def lost(reason: str) -> Reply:
    """The refusal of a lease."""
    return Reply(409, error=("LEASE_LOST", "not the current lease", {"status": "waiting", "reason": reason}))


Respond = Callable[[Asked], Awaitable[Reply | None]]
"""None hangs up without an answer."""


class Peer:
    """Runs while its context is entered; `asked` is all that came, in order."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.asked: list[Asked] = []
        self.connections = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop).result()
        self._port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (asked := await _read(reader)) is not None:
                self.asked.append(asked)
                answering = asyncio.ensure_future(self._respond(asked))
                hung_up = asyncio.ensure_future(reader.read(1))
                await asyncio.wait({answering, hung_up}, return_when=asyncio.FIRST_COMPLETED)
                if not answering.done():
                    answering.cancel()
                    return
                hung_up.cancel()
                await asyncio.gather(hung_up, return_exceptions=True)
                reply = answering.result()
                if reply is None:
                    return
                writer.write(reply.encoded())
                if reply.headers.get("content-length") == "":
                    return
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    return Asked(method, parts.path, parse_qs(parts.query), headers, json.loads(content) if content else None)


def task_json(task_id: int = 7, **facts: Any) -> dict[str, Any]:
    """A task as the server sends it."""
    nothing = dict.fromkeys(Task.__struct_fields__)
    return {
        **nothing,
        "id": task_id,
        "version": 1,
        "status": "waiting",
        "work_directory": "/a",
        "host": "",
        "kind": "script",
        "priority": "normal",
        "tags": [],
        "environment": {},
        "resource_limits": {},
        "metadata": {},
        "exclusive": False,
        "requires_approval": False,
        "depends_on": [],
        "max_attempts": 4,
        "timeout_seconds": 3600,
        "attempt": 0,
        "lease_no": 0,
        "created_at": NOW,
        "updated_at": NOW,
        "source": "api",
        **facts,
    }
