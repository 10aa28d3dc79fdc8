"""Parked polls, and which of them a cause wakes.

A cause wakes one poll: the oldest that may match. Its claim joins the next batch while it keeps its place. If it got a task, the
next one that may match is woken; if not, the baton goes to the oldest poll with another interest. So no poll that could have a
task stays beside it, and never is everybody woken for one task.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from orchestrator.domain.operations import Claim, Interest, Submission
from orchestrator.domain.outcomes import Claimed, Freed, Ready, Resumed
from orchestrator.domain.paths import ancestors, span
from orchestrator.domain.rules import Reservation
from orchestrator.domain.task import Millis


class Waits(Struct, frozen=True):
    """Tasks of a kind were seen waiting in a directory; nothing is known of their tags."""

    path: str
    host: str
    kind: str
    agent: str = ""


Cause = Ready | Freed | Resumed | Waits
"""What may bring a parked poll something."""


class Baton:
    """A cause on its way through the polls; `tried` are those interests that found nothing."""

    __slots__ = ("cause", "tried")

    def __init__(self, cause: Cause) -> None:
        self.cause = cause
        self.tried: set[Group] = set()


class Poll:
    """One parked claim; `asking` while its claim is in a batch.

    `order` is by age, as in `Reservation.bars`: what keeps the first of a group out keeps all of them out.
    """

    __slots__ = ("asking", "batons", "claim", "gone", "group", "order", "submission")

    def __init__(self, submission: Submission, op: Claim, group: "Group", place: int) -> None:
        self.submission = submission
        self.claim = op
        self.group = group
        self.order = (op.since or 0, op.worker_id, place)
        self.asking = False
        self.gone = False
        self.batons: list[Baton] = []

    def __lt__(self, other: "Poll") -> bool:
        return self.order < other.order


class Group:
    """All polls of one interest; `account`: those of an account (and whose it is) that was seen to have no quota.

    `resting`: it still has none. `held_at`: where something waits that was kept back from them; `reserved`: where leases keep
    exclusive askers out.
    """

    __slots__ = ("account", "asking", "held_at", "idle", "interest", "reserved", "resting", "size")

    def __init__(self, interest: Interest, account: Resumed | None = None) -> None:
        self.interest = interest
        self.account = account
        self.resting = False
        self.held_at: str | None = None
        self.reserved: str | None = None
        self.idle: list[Poll] = []
        self.asking: set[Poll] = set()
        self.size = 0

    def oldest(self) -> Poll | None:
        """The poll that has waited longest and is not asking already."""
        while self.idle and self.idle[0].gone:
            heapq.heappop(self.idle)
        return self.idle[0] if self.idle else None

    def may_match(self, cause: Cause) -> bool:
        """Whether the cause may bring something for this interest; the claim itself then tells."""
        if self.resting:
            return False
        if isinstance(cause, Resumed):
            return cause == self.account
        if isinstance(cause, Freed):
            return self.held_at is not None
        wanted = self.interest
        return (
            wanted.takes(cause.kind, cause.host, cause.agent)
            and (isinstance(cause, Waits) or wanted.tags.issubset(cause.tags))
            and wanted.principal.paths.covers(cause.path)
        )


class WaitingRoom:
    """`ask` puts the claim of a poll into the next batch."""

    def __init__(self, ask: Callable[[Poll], None]) -> None:
        self._ask = ask
        self._groups: dict[tuple[Interest, Resumed | None], Group] = {}
        self._accounts: dict[Resumed, set[Group]] = {}
        self._at: dict[str, set[Group]] = {}
        self._paths: list[str] = []
        self._places = 0
        self._reserving: set[Group] = set()
        self._kept_back: set[Group] = set()
        self._asked_for: tuple[list[str], list[str]] | None = None
        self._unreserved: list[str] = []
        self.size = 0
        self.closed = False
        """No wakes: the server drains, or could not ask."""

    # Coming and going

    def park(self, submission: Submission, outcome: Claimed) -> Poll:
        """Give a claim that found nothing a place."""
        if not isinstance(submission.op, Claim):
            raise TypeError(f"{submission.op!r} is no claim")
        group = self._group(submission.op, outcome)
        self._places += 1
        poll = Poll(submission, submission.op, group, self._places)
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
        self.size -= 1
        self._part(poll)

    def _part(self, poll: Poll) -> None:
        """Take a poll out of its group."""
        group = poll.group
        group.asking.discard(poll)
        group.size -= 1
        if group.reserved is not None:
            # Others may have been kept off the path that this one reserved.
            self._unreserved.append(group.reserved)
        if not group.size:
            self._close(group)

    def back(self, poll: Poll) -> None:
        """A woken poll's claim was not decided: to its place, and what it was woken for is forgotten."""
        poll.asking = False
        poll.batons = []
        poll.group.asking.discard(poll)
        if not poll.gone:
            heapq.heappush(poll.group.idle, poll)

    def _group(self, op: Claim, outcome: Claimed) -> Group:
        """Where a poll belongs: one without quota cannot stand in for another that asks for the same."""
        account = Resumed(op.interest.principal.paths.key, op.account or "") if outcome.quota else None
        return self._groups.get((op.interest, account)) or self._open(op.interest, account)

    def _open(self, interest: Interest, account: Resumed | None) -> Group:
        self._asked_for = None
        group = self._groups[interest, account] = Group(interest, account)
        if account is not None:
            self._accounts.setdefault(account, set()).add(group)
        for path in interest.paths:
            if path not in self._at:
                self._at[path] = set()
                insort(self._paths, path)
            self._at[path].add(group)
        return group

    def _close(self, group: Group) -> None:
        self._asked_for = None
        del self._groups[group.interest, group.account]
        if group.account is not None:
            self._accounts[group.account].discard(group)
            if not self._accounts[group.account]:
                del self._accounts[group.account]
        self._reserving.discard(group)
        self._kept_back.discard(group)
        for path in group.interest.paths:
            if group in self._at.get(path, ()):
                self._at[path].remove(group)
                if not self._at[path]:
                    del self._at[path]
                    del self._paths[bisect_left(self._paths, path)]

    def _learn(self, group: Group, outcome: Claimed) -> None:
        group.resting = outcome.quota
        if outcome.grants:
            # It looked no further than what it got: what was known of the rest stands.
            self._keep_back(group, outcome.held_at or group.held_at)
            return
        self._keep_back(group, outcome.held_at)
        reserved = outcome.leased_at if group.interest.exclusive else None
        if group.reserved not in {None, reserved}:
            self._unreserved.append(group.reserved or "")
        group.reserved = reserved
        if reserved is None:
            self._reserving.discard(group)
        else:
            self._reserving.add(group)

    def _keep_back(self, group: Group, held_at: str | None) -> None:
        group.held_at = held_at
        if held_at is None:
            self._kept_back.discard(group)
        else:
            self._kept_back.add(group)

    # What is asked for

    @property
    def keeps_back(self) -> bool:
        """Whether something waits that is kept back from a poll."""
        return bool(self._kept_back)

    @property
    def rests(self) -> bool:
        """Whether a poll waits for the quota of its account."""
        return bool(self._accounts)

    def is_asked_for(self, path: str) -> bool:
        """Whether some poll asks for tasks of a directory."""
        return next(iter(self._over(path)), None) is not None

    def directories(self) -> tuple[list[str], list[str]]:
        """The directories that are asked for: each alone, and with all that is below."""
        if self._asked_for is None:
            roots = {path for group in self._groups.values() if group.interest.recursive for path in group.interest.paths}
            above = {path for path in self._paths if roots.intersection(ancestors(path)[1:])}
            self._asked_for = [path for path in self._paths if path not in roots | above], sorted(roots - above)
        return self._asked_for

    # Batons

    def wake(self, cause: Cause) -> None:
        """Send a cause on its way; while no claim is being decided, as only those that begin later see what it changed."""
        if isinstance(cause, Resumed):
            for group in self._accounts.get(cause, ()):
                group.resting = False
        if self.size and not self.closed:
            self._hand_on(Baton(cause))

    def settled(self) -> None:
        """No claim is being decided: wake those that were kept off paths which nobody reserves any more."""
        unreserved, self._unreserved = self._unreserved, []
        for path in unreserved:
            self.wake(Freed(path))

    def expect(self, cause: Ready) -> None:
        """A task is about to become claimable: let the oldest poll that may match ask in the same batch, and save it an fsync."""
        if best := self._choose(self._matching(cause))[0]:
            self._send(best)

    def returned(self, poll: Poll, outcome: Claimed, taken: set[int]) -> None:
        """A woken poll's claim was decided; `taken`: ids of all tasks claimed in that commit. Hand its batons on."""
        group, batons = poll.group, poll.batons
        poll.asking = False
        poll.batons = []
        group.asking.discard(poll)
        moves = outcome.quota and group.account is None and not poll.gone
        if moves:
            self._part(poll)
            poll.group = self._group(poll.claim, outcome)
            poll.group.size += 1
            self._learn(poll.group, outcome)
        elif group.size:
            self._learn(group, outcome)
        if not poll.gone:
            heapq.heappush(poll.group.idle, poll)
        for baton in batons:
            if isinstance(baton.cause, Ready) and baton.cause.task_id in taken:
                continue
            if outcome.full:
                for kept_back in self._matching(baton.cause):
                    self._keep_back(kept_back, kept_back.held_at or outcome.held_at)
                continue
            if not (outcome.grants or moves or outcome.drain):
                baton.tried.add(group)
            self._hand_on(baton)

    def _hand_on(self, baton: Baton) -> None:
        best, busy = self._choose(group for group in self._matching(baton.cause) if group not in baton.tried)
        if best is not None:
            best.batons.append(baton)
            self._send(best)
        elif busy is not None:
            # All of them are asking already, and will see what the cause changed.
            busy.batons.append(baton)

    def _choose(self, groups: Iterable[Group]) -> tuple[Poll | None, Poll | None]:
        """The oldest idle poll, and one that is asking already."""
        best: Poll | None = None
        busy: Poll | None = None
        for group in groups:
            poll = group.oldest()
            if poll is None:
                busy = busy or next(iter(group.asking), None)
            elif best is None or poll < best:
                best = poll
        return best, busy

    def _send(self, poll: Poll) -> None:
        heapq.heappop(poll.group.idle)
        poll.asking = True
        poll.group.asking.add(poll)
        self._ask(poll)

    def _matching(self, cause: Cause) -> Iterator[Group]:
        """Groups for which the cause may bring something."""
        return (group for group in self._near(cause) if group.may_match(cause))

    def _near(self, cause: Cause) -> Iterable[Group]:
        if isinstance(cause, Resumed):
            return list(self._accounts.get(cause, ()))
        return self._around(cause) if isinstance(cause, Freed) else self._over(cause.path)

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
            yield from list(self._kept_back)
            return
        for above in ancestors(cause.path):
            yield from self._at.get(above, ())
        low, high = span(cause.path)
        for at in range(bisect_left(self._paths, low), bisect_left(self._paths, high)):
            yield from self._at[self._paths[at]]

    def reservations(self, now: Millis, patience: int) -> tuple[Reservation, ...]:
        """Paths to keep free for exclusive askers that have waited long."""
        reserved = []
        for group in self._reserving:
            for poll in (*group.idle, *group.asking):
                op = poll.claim
                if not poll.gone and op.since is not None and now - op.since >= patience:
                    reserved.append(Reservation(group.reserved or "", group.interest.host, op.since, op.worker_id))
        return tuple(reserved)
