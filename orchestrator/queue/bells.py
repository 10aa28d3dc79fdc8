"""Who follows a task's output: output makes no events, so the feed cannot tell them that there is more."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Bells:
    """A bell for everybody who waits for lines of a task."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[asyncio.Event]] = {}

    def ring(self, task_id: int) -> None:
        """There are new lines."""
        for bell in self._waiting.get(task_id, ()):
            bell.set()

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
