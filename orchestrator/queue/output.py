"""New lines of the output of many tasks at once: from now on, each line once and in order."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from msgspec.structs import replace

from orchestrator.queue.board import Board
from orchestrator.queue.commit import Queue
from orchestrator.queue.hints import OUTPUT
from orchestrator.queue.topics import Topics
from orchestrator.store.protocol import FeedEvent
from worker_client.contract.sockets import TaskOutput

_LINES: Final = 500
_FOLLOWED: Final = 10_000
_LONG_S: Final = 3600.0


class Output:
    """The lines of the tasks that `topics` cover, whatever types of events they name. Enter it before you begin."""

    def __init__(self, queue: Queue, board: Board, topics: Topics) -> None:
        self._queue = queue
        self._topics = replace(topics, types=frozenset({OUTPUT}))
        self._listener = board.listener(self._topics, live=True)
        self._told: dict[int, int] = {}

    def __enter__(self) -> Self:
        self._listener.come()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.go()

    async def begin(self) -> None:
        """What has been said by now is not told."""
        self._listener.join(self._queue.feed.last_id)
        self._told = dict(await self._queue.reads.lines_of_running(self._topics.visible, _FOLLOWED))

    async def next(self) -> AsyncIterator[TaskOutput]:
        """What is new, as soon as there is something; nothing when there may be something later."""
        await self._listener.rung(_LONG_S)
        _, hints, _ = self._listener.take()
        if not self._listener.joined:
            self._listener.join(self._queue.feed.last_id)
        for hint in hints:
            async for news in self._of(hint):
                yield news

    async def _of(self, hint: FeedEvent) -> AsyncIterator[TaskOutput]:
        reads, task_id = self._queue.reads, hint.task_id
        if task_id not in self._told:
            # It did not run when this began, so that all of its present lease is new.
            self._told[task_id] = await reads.lines_before_lease(task_id)
            if len(self._told) > _FOLLOWED:
                del self._told[next(iter(self._told))]
        while True:
            page = await reads.logs(task_id, self._told[task_id], _LINES, self._topics.visible)
            if page is None or not page.lines:
                return
            self._told[task_id] = page.next_after
            yield TaskOutput(task_id=task_id, work_directory=hint.path, lines=page.lines, next_after=page.next_after)
