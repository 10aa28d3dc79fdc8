"""Numbers for those who watch them: counted once for all who see the same."""

import asyncio
from collections.abc import Callable
from typing import Final

from orchestrator.domain.moments import moment
from orchestrator.domain.principal import PathScope, Principal
from orchestrator.queue.board import Board
from orchestrator.queue.commit import Queue
from worker_client.contract.sockets import SystemMetrics

METRICS_S: Final = 5.0
_FRESH_S: Final = 2.0


class Measuring:
    """`steady`: a clock of seconds that never goes back."""

    def __init__(self, queue: Queue, board: Board, steady: Callable[[], float]) -> None:
        self._queue = queue
        self._board = board
        self._steady = steady
        self._found: dict[PathScope, tuple[float, asyncio.Future[SystemMetrics]]] = {}

    async def now(self, by: Principal) -> SystemMetrics:
        """What somebody may see, no more than two seconds old. Raises StoreAwayError, Overloaded."""
        now = self._steady()
        self._found = {scope: found for scope, found in self._found.items() if now - found[0] < _FRESH_S}
        if by.paths not in self._found:
            self._found[by.paths] = now, asyncio.ensure_future(self._measured(by.paths))
        # Who leaves does not take it away from the others.
        return await asyncio.shield(self._found[by.paths][1])

    async def _measured(self, visible: PathScope) -> SystemMetrics:
        queue = self._queue
        now = queue.now()
        by_status, throughput = await queue.reads.pace(now, visible)
        found = SystemMetrics(at=moment(now), by_status=by_status, throughput=throughput)
        if visible.patterns is None:
            found.parked_polls, found.backlog, found.listeners = queue.parked, queue.backlog, len(self._board)
        return found
