"""Several Workers as one process: one per agent and one for the other kinds of tasks, with one end and one exit code."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from enum import IntEnum
from typing import Any, Final

from worker_client import leash
from worker_client.errors import ConfigurationError, OrchestratorError
from worker_client.shift import Shift
from worker_client.worker import Worker

logger = logging.getLogger("worker_client")
DESERTED_SECONDS: Final = 5.0
"""How long the work may take to end, and to be given back, when the process that this one belongs to has ended."""


class Exit(IntEnum):
    """The exit codes of the worker's process; 2 is the command line's own."""

    DRAINED = 0
    FAILED = 1
    """It was set up in a way that can't work, the server refuses it, or it has a defect."""
    USAGE = 2
    UNABLE = 3
    """An agent can't work: it is missing, or not logged in."""


class Crew:
    """Runs Workers that share a shift; when one of them fails the others end in order."""

    def __init__(self, workers: Sequence[Worker], shift: Shift) -> None:
        self.workers = workers
        self.shift = shift

    async def serve(self) -> Exit:
        """Work until drained, or until no Worker has anything to ask for."""
        if not self.workers:
            logger.error("there is nothing that this worker could do")
            return Exit.UNABLE
        serving = {asyncio.create_task(worker.serve(), name=worker.worker_id): worker for worker in self.workers}
        try:
            return await self._ended(serving)
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    async def _ended(self, serving: dict[asyncio.Task[None], Worker]) -> Exit:
        failed, pending = False, set(serving)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) is None:
                    continue
                failed = True
                if isinstance(error, OrchestratorError | ConfigurationError):
                    logger.error("%s can't work: %s", serving[task].worker_id, error)
                else:
                    logger.error("%s failed", serving[task].worker_id, exc_info=error)
                self.shift.ensure_drained("one of the workers of this process ended")
        if failed:
            return Exit.FAILED
        return Exit.UNABLE if any(worker.unable for worker in self.workers) else Exit.DRAINED

    def run(self, *, leashed: bool = False, beside: Callable[["Crew"], Coroutine[Any, Any, None]] | None = None) -> Exit:
        """Work until SIGTERM or SIGINT; a second one gives everything back at once.

        `leashed`: end at once, too, when the process that has the other end of standard input ends. `beside`: runs meanwhile.
        """
        return asyncio.run(self._run(leashed=leashed, beside=beside))

    async def _run(self, *, leashed: bool, beside: Callable[["Crew"], Coroutine[Any, Any, None]] | None) -> Exit:
        self.shift.heed_signals()
        serving = asyncio.create_task(self.serve())
        if leashed:
            leash.hold(lambda: self._deserted(serving))
        others = [] if beside is None else [asyncio.create_task(beside(self))]
        await asyncio.wait({serving})
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return Exit.FAILED if serving.cancelled() else serving.result()

    def _deserted(self, serving: asyncio.Task[Exit]) -> None:
        logger.warning("the process that this worker belongs to has ended")
        self.shift.drain()
        self.shift.drain()
        # Who would take the reports is gone, most likely.
        asyncio.get_running_loop().call_later(DESERTED_SECONDS, serving.cancel)
