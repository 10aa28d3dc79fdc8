"""What is done to the servers, by a seed: one thing after the other, some of them at once."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from tests.chaos.history import History
from tests.chaos.link import FAULTS, Link

LONG_S: Final = 7.0
"""Longer than any lease of the workers."""
HOUR_MS: Final = 3_600_000


class Nemesis:
    """`drop`: kills some clients; `only`: the names of faults, in place of all."""

    def __init__(
        self,
        system: Any,
        links: list[Link],
        history: History,
        seed: int,
        drop: Callable[[], None],
        only: Sequence[str] | None = None,
    ) -> None:
        self._system = system
        self._links = links
        self._history = history
        self._drop = drop
        self._chance = random.Random(seed)
        self._busy: set[int] = set()
        self._beside: set[asyncio.Task[None]] = set()
        self._away = False
        self._hours = 0
        self.away: list[tuple[float, float]] = []
        """When there was no database."""
        self.failed: BaseException | None = None
        """What went wrong in doing wrong."""
        self._faults: list[Callable[[], Awaitable[None]]] = [self.kill, self.kill, self.leave, self.stop, self.pause, self.jump]
        self._faults += [self.weather, self.weather, self.workers]
        if system.postgres is not None:
            self._faults += [self.backends, self.restart, self.crash]
        self._only = only
        if only is not None:
            self._faults = [getattr(self, name) for name in only]

    async def run(self) -> None:
        """Until it is cancelled; each kind comes once before any comes again."""
        while self._faults:
            for fault in self._chance.sample(self._faults, len(self._faults)):
                await asyncio.sleep(self._chance.uniform(0.2, 2))
                name = fault.__name__
                self._history.fault(name)
                task = asyncio.create_task(self._one(fault))
                self._beside.add(task)
                task.add_done_callback(self._done)
                if self._only is not None or self._chance.random() < 0.7:
                    await asyncio.wait((task,))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        self.failed = self.failed or (None if task.cancelled() else task.exception())

    async def _one(self, fault: Callable[[], Awaitable[None]]) -> None:
        try:
            await fault()
        finally:
            self._history.mended(fault.__name__)

    async def stop_all(self) -> None:
        """No more faults: whatever was begun is ended."""
        while self._beside:
            await asyncio.gather(*self._beside)
        for link in self._links:
            link.weather = None

    def _pick(self) -> int | None:
        free = [at for at in range(len(self._system.servers)) if at not in self._busy]
        if not free:
            return None
        at = self._chance.choice(free)
        self._busy.add(at)
        return at

    async def _with_server(self, do: Callable[[Any], Awaitable[None]]) -> None:
        if (at := self._pick()) is None:
            return
        try:
            await do(self._system.servers[at])
        finally:
            self._busy.discard(at)

    async def kill(self) -> None:
        async def do(server: Any) -> None:
            server.kill()
            await asyncio.sleep(self._chance.uniform(0, 1))
            await server.start()

        await self._with_server(do)

    async def leave(self) -> None:
        async def do(server: Any) -> None:
            await server.leave()
            await server.start()

        await self._with_server(do)

    async def _still(self, seconds: float) -> None:
        async def do(server: Any) -> None:
            server.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            server.signal(signal.SIGCONT)

        await self._with_server(do)

    async def stop(self) -> None:
        await self._still(LONG_S)

    async def pause(self) -> None:
        await self._still(self._chance.uniform(0.2, 3))

    async def jump(self) -> None:
        await self._system.set_clock(self._chance.choice([-HOUR_MS, 0, HOUR_MS]))
        if self._chance.random() < 0.5:
            await self.kill()

    async def ahead(self) -> None:
        """One hour more each time, and a server that learns of it at its start."""
        self._hours += 1
        await self._system.set_clock(self._hours * HOUR_MS)
        await self.kill()

    async def weather(self) -> None:
        link = self._chance.choice(self._links)
        link.weather = self._chance.choice(FAULTS)
        self._history.faults[link.weather] += 1
        await asyncio.sleep(self._chance.uniform(1, 4))
        link.weather = None

    async def workers(self) -> None:
        self._drop()

    async def backends(self) -> None:
        await asyncio.to_thread(self._system.backends, self._chance.randrange(1, 6))

    async def _database_goes(self, how: signal.Signals) -> None:
        if self._away:
            return
        self._away = True
        began = time.monotonic()
        await asyncio.to_thread(self._system.postgres.stop, how)
        await asyncio.sleep(self._chance.uniform(0, 2))
        await asyncio.to_thread(self._system.postgres.start)
        self._away = False
        self.away.append((began, time.monotonic()))

    async def restart(self) -> None:
        await self._database_goes(signal.SIGINT)

    async def crash(self) -> None:
        await self._database_goes(signal.SIGQUIT)
