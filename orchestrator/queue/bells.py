"""Who follows a task's output: output makes no events, so the feed cannot tell them that there is more."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.domain.operations import Heartbeat, Operation

_MOST = 10_000


class Bells:
    """A bell for everybody who waits for lines of a task; and, while `minded`, note of what makes no events."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self.minded: asyncio.Event | None = None
        """Set when there is something in `lines` or `beats`: tasks with new output, and those whose worker told of progress."""
        self.lines: set[int] = set()
        self.beats: set[int] = set()

    def ring(self, task_id: int) -> None:
        """There are new lines."""
        for bell in self._waiting.get(task_id, ()):
            bell.set()
        self.mind(self.lines, task_id)

    def heard(self, op: Operation) -> None:
        """A heartbeat was accepted, or lines were stored."""
        if not isinstance(op, Heartbeat):
            for task_id in op.touches:
                self.ring(task_id)
        elif op.outputs is not None:
            self.mind(self.beats, op.task_id)

    def mind(self, tasks: set[int], task_id: int) -> None:
        """Note a task, unless there are too many to tell of each."""
        if self.minded is not None and len(tasks) < _MOST:
            tasks.add(task_id)
            self.minded.set()

    def ring_all(self) -> None:
        """There may be new lines of any task."""
        for task_id in self._waiting:
            self.ring(task_id)

    @contextmanager
    def listen(self, task_id: int) -> Iterator[asyncio.Event]:
        """An Event that is set when there are new lines: enter it before you read."""
        bell = asyncio.Event()
        followers = self._waiting.setdefault(task_id, set())
        followers.add(bell)
        try:
            yield bell
        finally:
            followers.remove(bell)
            if not followers:
                self._waiting.pop(task_id, None)
