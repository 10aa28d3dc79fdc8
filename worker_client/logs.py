"""Brings lines of output to the server, in batches, each line once."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable

from worker_client import endpoints
from worker_client.client import AsyncClient
from worker_client.contract.enums import LogStream
from worker_client.contract.logs import AppendLogs, LogLine
from worker_client.errors import LeaseLost, NotFound, OrchestratorError, Retriable, ServerUnreachable
from worker_client.output import LINE_LIMIT, storable

logger = logging.getLogger("worker_client")
BATCH_LINES = 500
BATCH_CHARACTERS = 256 * 1024
BATCH_SECONDS = 0.2
BUFFER_CHARACTERS = 4 * 1024 * 1024
"""Past this the program that prints has to wait."""


class LogShipper:
    """The output of one lease; lines are numbered from 1, so that a repeated batch stores nothing twice."""

    def __init__(self, client: AsyncClient, task_id: int, lease: str, *, lost: Callable[[], None]) -> None:
        self._client = client
        self._task_id = task_id
        self._lease = lease
        self._lost = lost
        self._lines: deque[LogLine] = deque()
        self._size = 0
        self._first = 1
        self._dropped = 0
        self.last = ""
        """The latest line that says something."""
        self._waits = True
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._empty = asyncio.Event()
        self._room.set()
        self._empty.set()

    def add(self, text: str, stream: LogStream) -> None:
        """Store output; every line of the text becomes one."""
        for line in storable(text).split("\n"):
            for start in range(0, len(line) or 1, LINE_LIMIT):
                self._add(LogLine(text=line[start : start + LINE_LIMIT], stream=stream))

    def _add(self, line: LogLine) -> None:
        self.last = line.text.strip() or self.last
        if self._size >= 2 * BUFFER_CHARACTERS:
            self._dropped += 1
            return
        self._lines.append(line)
        self._size += len(line.text) + 1
        self._some.set()
        self._empty.clear()
        if len(self._lines) >= BATCH_LINES or self._size >= BATCH_CHARACTERS:
            self._full.set()
        if self._waits and self._size >= BUFFER_CHARACTERS:
            self._room.clear()

    async def room(self) -> None:
        """Wait until there is room for more."""
        await self._room.wait()

    def hurry(self) -> None:
        """Let nobody wait for room any more: the work is being stopped."""
        self._waits = False
        self._room.set()
        self._full.set()

    async def flush(self, seconds: float) -> None:
        """Wait until all has been stored, so many seconds at the most."""
        self.hurry()
        if self._dropped:
            logger.warning("task %d: %d lines of output came too fast and were dropped", self._task_id, self._dropped)
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            logger.warning("task %d: %d lines of output could not be stored in time", self._task_id, len(self._lines))

    async def run(self) -> None:
        """Send what is added, until cancelled or the lease is lost."""
        while True:
            await self._some.wait()
            if self._waits and not self._full.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BATCH_SECONDS):
                        await self._full.wait()
            if not await self._send(self._batch()):
                return

    def _batch(self) -> list[LogLine]:
        size, count = 0, 0
        for line in self._lines:
            size += len(line.text) + 1
            if count and (size > BATCH_CHARACTERS or count == BATCH_LINES):
                break
            count += 1
        return [self._lines[place] for place in range(count)]

    async def _send(self, batch: list[LogLine]) -> bool:
        body = AppendLogs(lease=self._lease, lines=list(batch), first_line=self._first)
        try:
            await self._client.send(endpoints.append_logs(self._task_id, body))
        except (LeaseLost, NotFound):
            self._drop(len(self._lines))
            self._lost()
            return False
        except (Retriable, ServerUnreachable):
            await asyncio.sleep(1.0)
            return True
        except OrchestratorError as error:
            logger.warning("task %d: %d lines of output were refused: %s", self._task_id, len(batch), error)
        self._drop(len(batch))
        return True

    def _drop(self, count: int) -> None:
        self._first += count
        for _ in range(count):
            self._size -= len(self._lines.popleft().text) + 1
        if self._size < BUFFER_CHARACTERS:
            self._room.set()
        if not self._lines:
            self._some.clear()
            self._empty.set()
        if len(self._lines) < BATCH_LINES and self._size < BATCH_CHARACTERS and self._waits:
            self._full.clear()
