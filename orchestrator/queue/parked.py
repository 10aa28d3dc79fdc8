"""Polls that are held: each until it has got something, has left, or its time is over."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from math import ceil
from typing import Final

from orchestrator.domain.holders import Drain
from orchestrator.domain.operations import Enqueue
from orchestrator.domain.outcomes import Claimed, Drained, Outcome, Ready
from orchestrator.queue.pending import Pending
from orchestrator.queue.waiting import Cause, Poll, WaitingRoom
from worker_client.errors import OrchestratorError

_STEP_S: Final = 0.02
"""A poll may last so much longer than it asked for."""


class Parked:
    """`put` submits the claim of a poll that is woken."""

    def __init__(self, put: Callable[[Pending], None]) -> None:
        self.room = WaitingRoom(self._ask)
        self._put = put
        self._polls: dict[Poll, Pending] = {}
        self._ends: dict[int, dict[Poll, None]] = {}
        self._left = self._has_left
        self._kept: dict[Cause | Drained, None] = {}
        self._draining = self._away = False
        self.deciding = False
        """Claims are in a transaction: who finds nothing there is not parked yet, and must not miss what happens meanwhile."""

    def __len__(self) -> int:
        return len(self._polls)

    def __iter__(self) -> Iterator[Poll]:
        return iter(self._polls)

    def expect(self, op: Enqueue) -> None:
        """Tasks that are about to wait are on their way."""
        for task in op.tasks if self.room.size else ():
            if not (task.depends_on or task.requires_approval or task.run_at or task.delay_ms):
                self.room.expect(Ready(0, task.path, task.host, task.kind, task.tags, task.agent))

    def stays(self, pending: Pending, outcome: Claimed, returned: list[tuple[Poll, Claimed]]) -> bool:
        """Park a claim that found nothing, or leave it parked: then it is among those that returned."""
        if outcome.drain:
            return False
        if pending.poll is None:
            return self._park(pending, outcome)
        if pending.poll not in self._polls:
            return False
        returned.append((pending.poll, outcome))
        return True

    def turn_away(self, pending: Pending, refusal: OrchestratorError) -> None:
        """Answer what was not decided; a parked poll keeps its place as long as its time lasts."""
        poll, future = pending.poll, pending.future
        if poll is not None:
            self.room.back(poll)
            if poll in self._polls:
                return
            self.leave(poll)
        if not future.done():
            if poll is None:
                future.set_exception(refusal)
            else:
                future.set_result(Claimed([]))

    def _park(self, pending: Pending, outcome: Claimed) -> bool:
        left = pending.wait_until - asyncio.get_running_loop().time()
        if pending.future.done() or self._draining or left <= 0:
            return False
        poll = self.room.park(pending.submission, outcome)
        self._polls[poll] = pending
        self._end(poll, ceil(pending.wait_until / _STEP_S))
        pending.future.add_done_callback(partial(self._left, poll))
        return True

    def leave(self, poll: Poll) -> None:
        """Take a poll out."""
        self._forget(poll)
        self.room.leave(poll)
        if not self.deciding:
            self.room.settled()

    def give_up(self, poll: Poll) -> None:
        """The time of a poll is over; one that is asking right now is answered by that, unless that may take long."""
        pending = self._polls.get(poll)
        if pending is None:
            return
        if poll.asking and not self._away:
            self._forget(poll)
            return
        self.leave(poll)
        if not pending.future.done():
            pending.future.set_result(Claimed([]))

    def drain(self) -> None:
        """Answer all with nothing, and wake nobody any more."""
        self._draining = self.room.closed = True
        for poll in list(self._polls):
            self.give_up(poll)

    def suspend(self, *, away: bool) -> None:
        """Wake nobody as long as the database is away; once it is back, somebody looks what waits."""
        self._away = away
        self.room.closed = away or self._draining

    def wake(self, causes: Iterable[Cause | Drained]) -> None:
        """Send causes on their way, as soon as no claims are being decided."""
        if self.deciding:
            self._kept.update(dict.fromkeys(causes))
            return
        for cause in causes:
            if isinstance(cause, Drained):
                self._send_away(cause)
            else:
                self.room.wake(cause)
        self.room.settled()

    def _send_away(self, drained: Drained) -> None:
        """Answer the polls of a worker that is to ask no more; those that ask right now will be told so."""
        drain = Drain(worker_id=drained.worker_id, scope="", paths=drained.paths)
        for poll, pending in list(self._polls.items()):
            if not poll.asking and drain.concerns(poll.claim.worker_id, poll.claim.interest.principal.paths):
                self.leave(poll)
                if not pending.future.done():
                    pending.future.set_result(Claimed([], drain=True))

    def settled(self, causes: Iterable[Cause | Drained] = (), taken: Collection[int] = ()) -> None:
        """The claims are decided, and who found nothing is parked: wake for what the transaction and others caused.

        `taken`: ids of the tasks that it leased.
        """
        kept, self._kept = self._kept, {}
        self.deciding = False
        woken = (*causes, *kept)
        self.wake(cause for cause in woken if not (isinstance(cause, Ready) and cause.task_id in taken))

    def _ask(self, poll: Poll) -> None:
        pending = self._polls[poll]
        self._put(Pending(poll.submission, pending.future, pending.wait_until, poll))

    def _forget(self, poll: Poll) -> None:
        pending = self._polls.pop(poll, None)
        if pending is not None:
            self._ends.get(ceil(pending.wait_until / _STEP_S), {}).pop(poll, None)

    def _end(self, poll: Poll, step: int) -> None:
        """Those whose time is over at about the same time share a timer, which costs as much as all else about a poll here."""
        if step not in self._ends:
            self._ends[step] = {}
            asyncio.get_running_loop().call_at(step * _STEP_S, self._over, step)
        self._ends[step][poll] = None

    def _over(self, step: int) -> None:
        for poll in self._ends.pop(step):
            self.give_up(poll)

    def _has_left(self, poll: Poll, _future: "asyncio.Future[Outcome]") -> None:
        self.leave(poll)
