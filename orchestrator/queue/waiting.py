"""Parked polls, and which of them a cause wakes.

A cause wakes one poll: the oldest that may match. Its claim joins the next batch while it keeps its place. If it got a task, the
next one that may match is woken; if not, the baton goes to the oldest poll with another interest. So no poll that could have a
task stays beside it, and never is everybody woken for one task.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator

from orchestrator.domain.operations import Claim, Interest, Submission
from orchestrator.domain.outcomes import Claimed, Freed, Ready, Wake
from orchestrator.domain.paths import ancestors, span
from orchestrator.domain.rules import Reservation
from orchestrator.domain.task import Millis


class Baton:
    """A cause on its way through the polls; `tried` are those interests that found nothing."""

    __slots__ = ("cause", "tried")

    def __init__(self, cause: Wake) -> None:
        self.cause = cause
        self.tried: set[Group] = set()


class Poll:
    """One parked claim. `place` orders polls by age; `asking` while its claim is in a batch."""

    __slots__ = ("asking", "batons", "gone", "group", "place", "submission")

    def __init__(self, submission: Submission, group: "Group", place: int) -> None:
        self.submission = submission
        self.group = group
        self.place = place
        self.asking = False
        self.gone = False
        self.batons: list[Baton] = []

    def __lt__(self, other: "Poll") -> bool:
        return self.place < other.place


class Group:
    """All polls of one interest; `held_at`: where something waits that was kept back from them."""

    __slots__ = ("asking", "held_at", "idle", "interest", "size")

    def __init__(self, interest: Interest) -> None:
        self.interest = interest
        self.held_at: str | None = None
        self.idle: list[Poll] = []
        self.asking: set[Poll] = set()
        self.size = 0

    def oldest(self) -> Poll | None:
        """The poll that has waited longest and is not asking already."""
        while self.idle and self.idle[0].gone:
            heapq.heappop(self.idle)
        return self.idle[0] if self.idle else None

    def may_match(self, cause: Wake) -> bool:
        """Whether the cause may bring something for this interest; the claim itself then tells."""
        if isinstance(cause, Freed):
            return self.held_at is not None
        wanted = self.interest
        return (
            (not wanted.kinds or cause.kind in wanted.kinds)
            and cause.host in {"", wanted.host}
            and wanted.tags.issubset(cause.tags)
            and wanted.principal.paths.covers(cause.path)
        )


class WaitingRoom:
    """`ask` puts the claim of a poll into the next batch."""

    def __init__(self, ask: Callable[[Poll], None]) -> None:
        self._ask = ask
        self._groups: dict[Interest, Group] = {}
        self._at: dict[str, set[Group]] = {}
        self._paths: list[str] = []
        self._places = 0
        self._exclusive_held: set[Group] = set()
        self.size = 0
        self.closed = False
        """No more wakes: the server drains."""

    # Coming and going

    def park(self, submission: Submission, outcome: Claimed) -> Poll:
        """Give a claim that found nothing a place."""
        if not isinstance(submission.op, Claim):
            raise TypeError(f"{submission.op!r} is no claim")
        interest = submission.op.interest
        group = self._groups.get(interest) or self._open(interest)
        self._places += 1
        poll = Poll(submission, group, self._places)
        heapq.heappush(group.idle, poll)
        group.size += 1
        self.size += 1
        self._learn(group, outcome)
        return poll

    def leave(self, poll: Poll) -> None:
        """Take a poll out: it was answered, timed out or hung up."""
        if poll.gone:
            return
        poll.gone = True
        group = poll.group
        group.asking.discard(poll)
        group.size -= 1
        self.size -= 1
        # Others may have been kept off the path that this one reserved.
        reserved = group.held_at if group in self._exclusive_held else None
        if not group.size:
            self._close(group)
        if reserved is not None:
            self.wake(Freed(reserved))

    def _open(self, interest: Interest) -> Group:
        group = self._groups[interest] = Group(interest)
        for path in interest.paths:
            if path not in self._at:
                self._at[path] = set()
                insort(self._paths, path)
            self._at[path].add(group)
        return group

    def _close(self, group: Group) -> None:
        del self._groups[group.interest]
        self._exclusive_held.discard(group)
        for path in group.interest.paths:
            if group in self._at.get(path, ()):
                self._at[path].remove(group)
                if not self._at[path]:
                    del self._at[path]
                    del self._paths[bisect_left(self._paths, path)]

    def _learn(self, group: Group, outcome: Claimed) -> None:
        group.held_at = outcome.held_at
        if group.interest.exclusive and outcome.held_at is not None:
            self._exclusive_held.add(group)
        else:
            self._exclusive_held.discard(group)

    # Batons

    def wake(self, cause: Wake) -> None:
        """Send a cause on its way."""
        if not self.closed:
            self._hand_on(Baton(cause))

    def returned(self, poll: Poll, outcome: Claimed, taken: set[int]) -> None:
        """A woken poll's claim was decided; `taken`: ids of all tasks claimed in that commit. Hand its batons on."""
        group, batons = poll.group, poll.batons
        poll.asking = False
        poll.batons = []
        group.asking.discard(poll)
        if group.size:
            self._learn(group, outcome)
        if not poll.gone:
            heapq.heappush(group.idle, poll)
        for baton in batons:
            if outcome.full or (isinstance(baton.cause, Ready) and baton.cause.task_id in taken):
                continue
            if not outcome.grants:
                baton.tried.add(group)
            self._hand_on(baton)

    def _hand_on(self, baton: Baton) -> None:
        best: Poll | None = None
        busy: Poll | None = None
        for group in self._matching(baton):
            poll = group.oldest()
            if poll is None:
                # All of them are asking already, and will see what the cause changed.
                busy = busy or next(iter(group.asking), None)
            elif best is None or poll < best:
                best = poll
        if best is not None:
            heapq.heappop(best.group.idle)
            best.asking = True
            best.group.asking.add(best)
            best.batons.append(baton)
            self._ask(best)
        elif busy is not None:
            busy.batons.append(baton)

    def _matching(self, baton: Baton) -> Iterator[Group]:
        cause = baton.cause
        for group in self._around(cause) if isinstance(cause, Freed) else self._over(cause.path):
            if group not in baton.tried and group.may_match(cause):
                yield group

    def _over(self, path: str) -> Iterable[Group]:
        """Groups that ask for tasks of one directory."""
        yield from self._at.get(path, ())
        for above in ancestors(path)[1:]:
            for group in self._at.get(above, ()):
                if group.interest.recursive:
                    yield group

    def _around(self, cause: Freed) -> Iterable[Group]:
        """Groups that ask for a directory, one above it or one below it."""
        if cause.path is None:
            yield from list(self._groups.values())
            return
        for above in ancestors(cause.path):
            yield from self._at.get(above, ())
        low, high = span(cause.path)
        for at in range(bisect_left(self._paths, low), bisect_left(self._paths, high)):
            yield from self._at[self._paths[at]]

    def reservations(self, now: Millis, patience: int) -> tuple[Reservation, ...]:
        """Paths to keep free for exclusive askers that have waited long."""
        reserved = []
        for group in self._exclusive_held:
            for poll in (*group.idle, *group.asking):
                op = poll.submission.op
                if isinstance(op, Claim) and not poll.gone and op.since is not None and now - op.since >= patience:
                    reserved.append(Reservation(group.held_at or "", group.interest.host, op.since, op.worker_id))
        return tuple(reserved)
