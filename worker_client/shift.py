"""What the Workers of one process share: until when they ask, how many tasks they begin, whether anything still waits."""

import asyncio
import logging
import signal
from collections.abc import Hashable

logger = logging.getLogger("worker_client")


class Shift:
    """`until_idle`: over when nothing waits for any of its Workers. `max_tasks`: over when so many tasks have begun.

    `over`: ask for nothing more. `draining`: what runs is to end soon. `hurried`: give everything back now.
    """

    def __init__(self, *, until_idle: bool = False, max_tasks: int | None = None) -> None:
        self.over = asyncio.Event()
        self.draining = asyncio.Event()
        self.hurried = asyncio.Event()
        self.until_idle = until_idle
        self.left = max_tasks
        self.ends = 0
        """How many tasks have ended; each may have made others claimable."""
        self._running = 0
        self._members: set[Hashable] = set()
        self._idle: set[Hashable] = set()
        self._changed = asyncio.Event()

    def drain(self) -> None:
        """Ask for nothing more and let what runs end; called again: give everything back now."""
        if self.draining.is_set():
            self.hurried.set()
        self._drain()

    def ensure_drained(self, why: str) -> None:
        """Drain; said again and again, it hurries nobody."""
        if not self.draining.is_set():
            logger.warning("draining: %s", why)
        self._drain()

    def told_to_drain(self) -> None:
        """The server says so."""
        self.ensure_drained("the server says so")

    def _drain(self) -> None:
        self.draining.set()
        self.over.set()
        self._change()

    def heed_signals(self) -> None:
        """Drain at SIGTERM and SIGINT; at the second one at once."""
        loop = asyncio.get_running_loop()

        def told(number: int) -> None:
            logger.info("%s: %s", signal.Signals(number).name, "giving back" if self.draining.is_set() else "draining")
            self.drain()

        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, told, number)
            except NotImplementedError:  # pragma: no cover  Windows
                signal.signal(number, lambda number, _: loop.call_soon_threadsafe(told, number))

    def join(self, worker: Hashable) -> None:
        """One more asks."""
        self._members.add(worker)

    def leave(self, worker: Hashable) -> None:
        """One asks no more."""
        self._members.discard(worker)
        self._change()

    def begin(self) -> bool:
        """Whether one more task may begin."""
        if self.left == 0:
            return False
        if self.left is not None:
            self.left -= 1
            if not self.left:
                self.over.set()
        self._running += 1
        return True

    def end(self) -> None:
        """A task has ended, and that is reported."""
        self._running -= 1
        self.ends += 1
        self._idle.clear()
        self._change()

    async def more_to_ask(self, worker: Hashable, asked_at: int) -> bool:
        """After nothing was found by who asked when `asked_at` tasks had ended: wait until asking again could find something."""
        if asked_at == self.ends:
            self._idle.add(worker)
        while asked_at == self.ends and not self.over.is_set():
            if not self._running and self._idle >= self._members:
                self.over.set()
                self._change()
                break
            await self._changed.wait()
        return not self.over.is_set()

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
