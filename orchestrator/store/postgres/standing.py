"""What is due next, as far as this server knows: to ask with every commit would cost more than most commits do."""

from collections.abc import Iterable
from typing import Final

from orchestrator.domain.task import Head, Millis
from worker_client.contract.enums import Status

_SLACK_MS: Final = 60_000
"""Longer than any transaction: what one saves that has begun before a look is due later than the look less this."""


class Standing:
    """Learns from this server's own commits, and about the others' by looking.

    `floor`: nothing is due before it. Tasks and leases become due after the moment in which they are saved; below the first of
    them there are only dead entries of the index, all of which a search for the first would have to pass.
    """

    def __init__(self) -> None:
        self.due: Millis | None = None
        self.leases = False
        self.floor: Millis = 0
        self._since: list[Millis] = []
        self._leased = False

    def saved(self, heads: Iterable[Head | None]) -> None:
        """This server has changed these tasks."""
        for head in heads:
            if head is None:
                continue
            at = None
            if head.status is Status.RUNNING:
                at, self.leases, self._leased = head.expire_at, True, True
            elif head.status is Status.SCHEDULED:
                at = head.due_at
            elif head.status is Status.PARKED:
                at = head.hold_until
            if at is not None:
                self.due = at if self.due is None else min(self.due, at)
                self._since = [min([at, *self._since])]

    def begin(self) -> None:
        """A look begins: it may miss what is saved from now on."""
        self._since, self._leased = [], False

    def looked(self, now: Millis, scheduled: Millis | None, held: Millis | None, expiring: Millis | None) -> None:
        """What a look found, the first of each kind; `now` is not after it began."""
        self.due = min((at for at in (scheduled, held, expiring, *self._since) if at is not None), default=None)
        self.leases = expiring is not None or self._leased
        self.floor = max(self.floor, min(at for at in (now, scheduled, expiring) if at is not None) - _SLACK_MS)
