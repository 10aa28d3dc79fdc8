"""Of two polls with one poll_id only the later has somebody at its other end."""

import asyncio

from orchestrator.domain.operations import Claim
from orchestrator.domain.outcomes import Claimed, Outcome
from orchestrator.domain.principal import Principal


class Newest:
    """The last poll of each poll_id that is not answered yet."""

    def __init__(self) -> None:
        self._polls: dict[tuple[str, str, str], asyncio.Future[Outcome]] = {}

    def supersede(self, op: Claim, by: Principal, future: "asyncio.Future[Outcome]") -> None:
        """Answer the earlier one with nothing."""
        if op.poll_id is None:
            return
        key = (by.id, op.worker_id, op.poll_id)
        earlier = self._polls.get(key)
        if earlier is not None and not earlier.done():
            earlier.set_result(Claimed([]))
        self._polls[key] = future

        def forget(done: "asyncio.Future[Outcome]") -> None:
            if self._polls.get(key) is done:
                del self._polls[key]

        future.add_done_callback(forget)

    def clear(self) -> None:
        """Forget all."""
        self._polls.clear()
