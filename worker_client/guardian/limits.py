"""Holds a tree of processes to a share of the processor and an amount of memory, as any user may do it; Linux."""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable
from typing import Final

from worker_client.guardian.tree import Process, send

_PAUSE: Final = 0.1
"""Seconds between two looks, unless looking takes more than a twentieth of them."""
_BURST: Final = 1.0
"""Seconds for which a tree that was idle may use more than its share."""


class Limits:
    """`exceeded`: bytes of memory that were too much, or 0; shared pages count once."""

    def __init__(self, memory: int | None, cpu: float | None, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._cpu = cpu
        self._clock = clock
        self._page = resource.getpagesize()
        self._tick = os.sysconf("SC_CLK_TCK")
        self._looked = clock()
        self._used = (0.0, 0.0)
        self._credit = (cpu or 0.0) * _BURST
        self._stopped: set[int] = set()
        self.next = self._looked if memory or cpu else float("inf")
        self.exceeded = 0

    def look(self, tree: Callable[[], list[Process]]) -> None:
        """Look at the tree, when it is time to, and stop it or let it go on."""
        if self._clock() < self.next:
            return
        began = time.monotonic()
        processes = tree()
        if self._memory is not None and self._page * sum(process.pages for process in processes) > self._memory:
            used = sum(map(self._share, processes))
            self.exceeded = used if used > self._memory else 0
        if self._cpu is not None:
            self._throttle(processes, self._cpu)
        self.next = self._clock() + max(_PAUSE, 20 * (time.monotonic() - began))

    def _share(self, process: Process) -> int:
        """Memory of a process in bytes, of what it shares with others only its part."""
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/smaps_rollup", "rb") as file:  # noqa: PTH123  starts faster
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
        # It may have ended meanwhile, and so has nothing any more.
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/statm", "rb") as file:  # noqa: PTH123  starts faster
            return int(file.read().split()[1]) * self._page
        return 0

    def _throttle(self, processes: list[Process], cpu: float) -> None:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = sum(process.ticks for process in processes) / self._tick + ended.ru_utime + ended.ru_stime
        now = self._clock()
        # What a process used is missing for one look when it ends while we look, and is its parent's at the next.
        self._credit = min(self._credit + cpu * (now - self._looked), cpu * _BURST) - max(0.0, used - max(self._used))
        self._used, self._looked = (self._used[1], used), now
        if self._credit < 0:
            new = [process for process in processes if process.pid not in self._stopped]
            send(signal.SIGSTOP, new)
            self._stopped.update(process.pid for process in new)
        elif self._stopped:
            send(signal.SIGCONT, [process for process in processes if process.pid in self._stopped])
            self._stopped.clear()
