"""The live view: keys and news change what is known, and the screen follows."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.cli.exits import worded
from orchestrator.cli.feed import line
from orchestrator.cli.watching.acting import Acting
from orchestrator.cli.watching.drawing import frame
from orchestrator.cli.watching.keys import Keys
from orchestrator.cli.watching.looking import Looking
from orchestrator.cli.watching.model import State
from orchestrator.cli.watching.terminal import Terminal
from worker_client.client import AsyncClient
from worker_client.contract.events import Event, Hint
from worker_client.errors import Forbidden, OrchestratorError, Unauthorized
from worker_client.feed import Reset

REFRESH_S: Final = 1.0
"""How often times go on and lists are asked for when nothing is heard of."""
SETTLE_S: Final = 0.15
"""Events come in bursts; one look at the lists covers a burst."""


class Screen:
    """Watches a server on a terminal until somebody ends it; returns the exit code."""

    def __init__(self, url: str, client: AsyncClient, filters: dict[str, Any], terminal: Terminal) -> None:
        self._state = State(url)
        self._client = client
        self._filters = filters
        self._terminal = terminal
        self._looking = Looking(client, self._state, filters)
        self._acting = Acting(client, self._state, self._looking, self._begin, self._end)
        self._keys = Keys()
        self._news = asyncio.Event()
        self._changed = asyncio.Event()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Until the end. Raises OrchestratorError for who may not look."""
        with self._terminal, self._listening():
            self._begin(self._follow())
            self._begin(self._look())
            self._begin(self._draw())
            try:
                return await self._ended
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _end(self, code: int = 0) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    @contextlib.contextmanager
    def _listening(self) -> Any:
        """To keys, and to signals."""
        loop, keys = asyncio.get_running_loop(), self._terminal.keys
        heeded: dict[str, Callable[[], None]] = {
            "SIGTERM": lambda: self._end(128 + signal.SIGTERM),
            "SIGHUP": lambda: self._end(129),
            "SIGWINCH": self._changed.set,
            "SIGTSTP": self._stop,
        }
        known = [(getattr(signal, name), act) for name, act in heeded.items() if hasattr(signal, name)]
        with contextlib.ExitStack() as stack:
            for number, act in known:
                with contextlib.suppress(NotImplementedError):  # there are systems on which loops heed no signals
                    loop.add_signal_handler(number, act)
                    stack.callback(loop.remove_signal_handler, number)
            if keys is not None:
                loop.add_reader(keys, self._read, keys)
                stack.callback(loop.remove_reader, keys)
            yield

    def _stop(self) -> None:
        self._terminal.stop()
        self._changed.set()

    def _read(self, keys: int) -> None:
        try:
            sent = os.read(keys, 4096)
        except OSError:
            sent = b""
        if not sent:
            self._end(129)
        for key in self._keys.feed(sent):
            self._acting.press(key)
        self._changed.set()

    async def _draw(self) -> None:
        while True:
            self._changed.clear()
            state = self._state
            silence = None if state.silent_since is None else time.monotonic() - state.silent_since
            width, height = self._terminal.size
            self._terminal.draw(frame(state, width, height, datetime.now(UTC), silence), width)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._changed.wait()

    async def _look(self) -> None:
        known = False
        while True:
            try:
                if not known:
                    await self._looking.past()
                    known = True
                await self._looking.once()
                self._state.silent_since = None
            except (Unauthorized, Forbidden):
                raise
            except OrchestratorError as error:
                self._state.silent_since = self._state.silent_since or time.monotonic()
                self._state.message = "" if error.code == "UNREACHABLE" else worded(error)
            self._changed.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._news.wait()
            await asyncio.sleep(SETTLE_S)
            self._news.clear()

    async def _follow(self) -> None:
        async for event in self._feed():
            if isinstance(event, Hint):
                if event.type == "task.output":
                    await self._hear(event.task_id)
                continue
            if isinstance(event, Event):
                self._state.events.append(line(event))
                if event.type == "task.completed":
                    self._state.completed.append(event.at)
            self._news.set()

    async def _hear(self, task_id: int) -> None:
        """What a running task has written; when it cannot be asked, the next look will tell."""
        with contextlib.suppress(OrchestratorError):
            await self._looking.hear(task_id)
            self._changed.set()

    def _feed(self) -> AsyncIterator[Event | Reset | Hint]:
        return self._client.events(live=True, **self._filters)
