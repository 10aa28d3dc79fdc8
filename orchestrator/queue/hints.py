"""Hints for those who look on: output and progress make no events, but somebody's page should show them."""

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Final, TypeVar

import structlog

from orchestrator.domain.task import Millis
from orchestrator.queue.commit import Queue
from orchestrator.store.protocol import FeedEvent, StoreAwayError
from orchestrator.store.reads.hints import Place
from worker_client.errors import Overloaded

K = TypeVar("K")
V = TypeVar("V")
log = structlog.get_logger()

OUTPUT: Final = "task.output"
PROGRESS: Final = "task.progress"
EVERY_S: Final = 0.25
LOOK_S: Final = 1.0
"""Between two looks at what other servers' workers told of their progress."""
_AT_ONCE: Final = 500
_LOOKED_AT: Final = 2_000
_OVERLAP_MS: Final = 2_000
"""Transactions of other servers may be older than those that were seen before them."""
_KNOWN: Final = 20_000


class Hints:
    """Looks what is new, for all at once and as long as somebody wants to know; `tell` gets events that have no id."""

    def __init__(self, queue: Queue, tell: Callable[[FeedEvent], None]) -> None:
        self._queue = queue
        self._tell = tell
        self._wanted = 0
        self._task: asyncio.Task[None] | None = None
        self._told: dict[tuple[int, str], object] = {}
        self._since: Millis = 0
        self._seen: dict[int, Millis] = {}

    def wanted(self, more: int) -> None:
        """So many more (or fewer) want hints."""
        self._wanted += more
        bells = self._queue.bells
        if self._wanted and self._task is None:
            bells.minded = asyncio.Event()
            self._since = self._queue.now()
            self._task = asyncio.create_task(self._run(bells.minded), name="hints")
        elif not self._wanted and self._task is not None:
            self._task.cancel()
            self._task = bells.minded = None
            for known in (bells.lines, bells.beats, self._told, self._seen):
                known.clear()

    async def _run(self, minded: asyncio.Event) -> None:
        while True:
            try:
                async with asyncio.timeout(None if self._queue.on_gap is None else LOOK_S):
                    await minded.wait()
            except TimeoutError:
                pass
            minded.clear()
            try:
                await self.once()
            except (StoreAwayError, Overloaded):
                log.debug("no hints, as the database is away")
            except Exception:
                log.exception("hints failed and go on")
            await asyncio.sleep(EVERY_S)

    async def once(self) -> None:
        """Tell what is new by now. Raises StoreAwayError, Overloaded."""
        bells, reads = self._queue.bells, self._queue.reads
        if self._queue.on_gap is not None:
            await self._look()
        if beats := self._next(bells.beats):
            for place, progress, usage in await reads.progress(beats):
                if progress or usage:
                    self._new(PROGRESS, place, f'{{"progress":{progress or "null"},"usage":{usage or "null"}}}')
        if lines := self._next(bells.lines):
            for place, last in await reads.last_lines(lines):
                self._new(OUTPUT, place, f'{{"last_line":{last}}}')

    def _next(self, tasks: set[int]) -> list[int]:
        taken = list(islice(tasks, _AT_ONCE))
        tasks.difference_update(taken)
        if tasks and self._queue.bells.minded is not None:
            self._queue.bells.minded.set()
        return taken

    async def _look(self) -> None:
        """Find what was told to other servers: there is no bell for it, as most of the time nobody would listen."""
        bells = self._queue.bells
        for task_id, at in await self._queue.reads.changed_since(self._since - _OVERLAP_MS, _LOOKED_AT):
            if self._seen.pop(task_id, None) != at:
                bells.mind(bells.beats, task_id)
            self._seen[task_id] = at
            self._since = max(self._since, at)
        _forget(self._seen)

    def _new(self, kind: str, place: Place, data: str) -> None:
        key = place.task_id, kind
        if self._told.get(key) != data:
            self._told.pop(key, None)
            self._told[key] = data
            _forget(self._told)
            facts = (kind, place.task_id, place.path, place.host, place.status, data)
            self._tell(FeedEvent(0, self._queue.now(), *facts, run_id=place.run_id))


def _forget(known: dict[K, V]) -> None:
    """Of too much, what was there first."""
    for key in list(islice(known, max(0, len(known) - _KNOWN))):
        del known[key]
