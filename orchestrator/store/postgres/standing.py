"""What is due next, as far as this server knows: to ask with every commit would cost more than most commits do."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from orchestrator.domain.task import Head, Millis
from worker_client.contract.enums import Status

_SLACK_MS: Final = 60_000
"""Longer than any transaction: what one saves that has begun before a look is due later than the look less this."""
_WHOLE_S: Final = 60.0
"""Between two looks that trust no earlier one."""


class Search:
    """A look that has begun: it asks for what is due after `floor`, and may miss what is saved from now on."""

    def __init__(self, floor: Millis) -> None:
        self.floor = floor
        self.since: list[Millis] = []
        self.fires: list[Millis] = []
        self.leased = False


class Standing:
    """Learns from this server's own commits, and about the others' by looking; both at once, from two threads.

    `floor`: below it is no lease that is live and no task that is scheduled, or they would be forgotten. They become due after
    the moment in which they are saved; below the first are only dead entries of the index, which a search would have to pass.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self.due: Millis | None = None
        self.leases = False
        self.fires: Millis | None = None
        self.floor: Millis = 0
        self._seen: Millis = 0
        self._steady = steady
        self._whole_at = steady()
        self._searches: list[Search] = []
        self._lock = threading.Lock()

    def saved(self, heads: Iterable[Head | None], held: Iterable[Millis] = (), fires: Iterable[Millis] = ()) -> None:
        """This server has committed these tasks, what is due at other times, and schedules that are due in wall time."""
        with self._lock:
            for head in heads:
                if head is not None:
                    self._saved(head)
            for until in held:
                self._due(until)
            for at in fires:
                for search in self._searches:
                    search.fires.append(at)
                self.fires = at if self.fires is None else min(self.fires, at)

    def _saved(self, head: Head) -> None:
        running = head.status is Status.RUNNING
        at = {Status.RUNNING: head.expire_at, Status.SCHEDULED: head.due_at, Status.PARKED: head.hold_until}.get(head.status)
        for search in self._searches:
            search.leased |= running
        self.leases |= running
        if at is not None:
            self._due(at)

    def _due(self, at: Millis) -> None:
        for search in self._searches:
            search.since.append(at)
        self.due = at if self.due is None else min(self.due, at)

    def begin(self) -> Search:
        """A look begins."""
        with self._lock:
            now = self._steady()
            whole = now - self._whole_at >= _WHOLE_S
            if whole:
                self._whole_at = now
            search = Search(0 if whole else self.floor)
            self._searches.append(search)
            return search

    def forget(self, search: Search) -> None:
        """A look came to nothing."""
        with self._lock:
            self._searches.remove(search)

    def looked(
        self,
        search: Search,
        now: Millis,
        scheduled: Millis | None,
        held: Millis | None,
        expiring: Millis | None,
        *later: Millis | None,
    ) -> None:
        """What a look found, the first of each kind; `now` is not after it began.

        `later`: what else is due: ends of spent days, of waits for a quota, of runs; the last one is a schedule, in wall time.
        """
        with self._lock:
            self._searches.remove(search)
            *others, fires = later or (None,)
            known = (scheduled, held, expiring, *others, *search.since)
            self.due = min((at for at in known if at is not None), default=None)
            self.fires = min((at for at in (fires, *search.fires) if at is not None), default=None)
            self.leases = expiring is not None or search.leased
            floor = min(at for at in (now, scheduled, expiring) if at is not None) - _SLACK_MS
            # A clock that was ahead has raised it too far.
            trusted = search.floor and now >= self._seen - _SLACK_MS // 2
            self.floor = max(self.floor, floor) if trusted else floor if not search.floor else 0
            self._seen = now
