"""Several Workers as one process: one per agent and one for the other kinds of tasks, with one end and one exit code."""

import asyncio
import logging
from collections.abc import Sequence
from enum import IntEnum

from worker_client.errors import ConfigurationError, OrchestratorError
from worker_client.shift import Shift
from worker_client.worker import Worker

logger = logging.getLogger("worker_client")


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

    def run(self) -> Exit:
        """Work until SIGTERM or SIGINT; a second one gives everything back at once."""
        return asyncio.run(self._run_with_signals())

    async def _run_with_signals(self) -> Exit:
        self.shift.heed_signals()
        return await self.serve()
