"""Keeps the index of words up to date, by the feed; and puts in, a little at a time, the tasks from before there was an index."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from orchestrator.domain.indexing import Index
from orchestrator.domain.outcomes import Done
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.words import words
from orchestrator.queue.commit import Queue
from orchestrator.store.reads.searching import Standing
from worker_client.errors import Overloaded

log = structlog.get_logger()

TOGETHER_S: Final = 1.0
"""What happens within this time is put in together; searches look at it directly until then."""
TURN_S: Final = 5.0
"""After another server was quicker, which goes on with it then."""
AFTER_ERROR_S: Final = 5.0
_EVENTS: Final = 1_000
_TASKS: Final = 20
"""Whose texts are read at once: others are served in between."""
_CHARACTERS: Final = 100_000
"""Of words in one transaction, for which others wait."""
_LONG: Final = 2_000
"""Characters of words that are made before others have their turn."""
_BUSY: Final = 200
"""Events in a second, of a server that has other things to do."""
_GIVES_WAY: Final = 50
"""Times as long as it took to put something in a server that is busy has for other things."""
_TOLD: Final = 100_000


class Indexer:
    """Submits Index."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._told: int | None = None

    async def once(self) -> bool | None:
        """Put a little in; whether there may be more, None when another server does it."""
        standing = await self._queue.reads.indexing()
        op = await self._happened(standing) or await self._before(standing)
        if op is None:
            return False
        outcome = await self._queue.submit(op, SYSTEM)
        if isinstance(outcome, Done) and outcome.count == 0:
            return None
        self._tell(op.unread)
        return True

    async def catch_up(self) -> None:
        """Put in all that there is by now."""
        while await self.once():
            pass

    async def _happened(self, standing: Standing) -> Index | None:
        unread = await self._queue.reads.events_unread(standing.last_event, _EVENTS)
        if unread.last == standing.last_event:
            return None
        # Once per task, as it is now, whatever happened to it meanwhile; in the order of what happened first.
        firsts = {task_id: number for number, task_id in reversed(unread.events)}
        tasks = sorted(firsts, key=firsts.__getitem__)
        read, found = await self._words(tasks)
        last = unread.last if read == len(tasks) else firsts[tasks[read]] - 1
        return Index(version=standing.version, last_event=last, unread=standing.unread, words=found)

    async def _before(self, standing: Standing) -> Index | None:
        if standing.unread == 0:
            return None
        tasks = await self._queue.reads.tasks_unread(standing.unread, _EVENTS)
        read, found = await self._words(tasks)
        unread = tasks[read - 1] - 1 if tasks else 0
        return Index(version=standing.version, last_event=standing.last_event, unread=unread, words=found)

    async def _words(self, tasks: list[int]) -> tuple[int, tuple[tuple[int, str], ...]]:
        """How many of the tasks are put in together, and the words of those that are still there."""
        found: list[tuple[int, str]] = []
        size = read = 0
        while read < len(tasks) and size < _CHARACTERS:
            texts = await self._queue.reads.texts(tasks[read : read + _TASKS])
            for task_id, text in texts.items():
                found.append((task_id, " ".join(words(text))))
                size += len(found[-1][1])
                if len(found[-1][1]) > _LONG:
                    await asyncio.sleep(0)
            read = min(read + _TASKS, len(tasks))
        return read, tuple(found)

    def _tell(self, unread: int) -> None:
        """Log how far the tasks from before are put in."""
        if unread == 0:
            if self._told is not None:
                log.info("all tasks are in the index of words")
            self._told = None
        elif self._told is None or self._told - unread >= _TOLD:
            log.info("tasks from before are being put into the index of words", left=unread)
            self._told = unread

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        with self._queue.feed.reader() as bell:
            while True:
                try:
                    await self._go_on(bell)
                except Exception as error:
                    if self._queue.away is None and not isinstance(error, Overloaded):
                        log.exception("the index of words could not be brought up to date; it is tried again")
                    await asyncio.sleep(AFTER_ERROR_S)

    async def _go_on(self, bell: asyncio.Event) -> None:
        feed, loop = self._queue.feed, asyncio.get_running_loop()
        bell.clear()
        began, last = loop.time(), feed.last_id
        more = await self.once()
        if more is None:
            await asyncio.sleep(TURN_S)
        elif not more:
            feed.searched.clear()
            await bell.wait()
            await self._rest(TOGETHER_S)
        elif not feed.searched.is_set():
            # Half the time is others', and nearly all of it while there is much to do.
            took = loop.time() - began
            await self._rest(took)
            if feed.last_id - last > _BUSY * 2 * took:
                await self._rest(_GIVES_WAY * took)

    async def _rest(self, seconds: float) -> None:
        """Let others go on, unless somebody searches what has to be put in first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._queue.feed.searched.wait()
