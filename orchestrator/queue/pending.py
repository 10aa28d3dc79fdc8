"""A submission on its way through the queue."""

import asyncio
from typing import TYPE_CHECKING

from orchestrator.domain.operations import Submission
from orchestrator.domain.outcomes import Outcome

if TYPE_CHECKING:
    from orchestrator.queue.waiting import Poll


class Pending:
    """`poll` when it is the claim of a parked one, `wait_until` (loop time) when it may be parked."""

    __slots__ = ("future", "poll", "submission", "wait_until")

    def __init__(
        self, submission: Submission, future: "asyncio.Future[Outcome]", wait_until: float = 0.0, poll: "Poll | None" = None
    ) -> None:
        self.submission = submission
        self.future = future
        self.wait_until = wait_until
        self.poll = poll
