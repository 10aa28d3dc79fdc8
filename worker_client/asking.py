"""Putting a worker's question to the server until it is answered."""

import asyncio
import logging
import random
import time
from typing import Final

from worker_client import endpoints
from worker_client.client import AsyncClient
from worker_client.clock import Clock
from worker_client.contract.tasks import ClaimedTasks, ClaimMany
from worker_client.errors import (
    Conflict,
    Forbidden,
    OrchestratorError,
    Retriable,
    ServerUnreachable,
    Unauthorized,
    ValidationFailed,
)
from worker_client.exchange import Retries

logger = logging.getLogger("worker_client")
MOST_PAUSE: Final = 30.0
ONCE: Final = Retries(attempts=1)
"""The worker asks again by itself, and says why."""
FIRST_TRIES: Final = 4
"""One that is to do what waits and end gives up after so many, when no server has ever answered."""
HELD_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 5.0
"""How often to look at the clock: no timer counts the time of a suspension, after which no answer may come any more."""
LATE_SECONDS: Final = 30.0
"""An answer that is so much later than the question allows won't come."""


class Asker:
    """Asks on behalf of one worker; `impatient`: gives up when no server answers. `trouble`: why it has no answer at present."""

    def __init__(self, client: AsyncClient, clock: Clock, *, impatient: bool) -> None:
        self._client = client
        self._clock = clock
        self._impatient = impatient
        self._answered = False
        self._failures = 0
        self.trouble: str | None = None

    async def ask(self, question: ClaimMany) -> ClaimedTasks | None:
        """The answer; None when the question has to be another one. Raises what a first question is refused with.

        Until then it is the same question with the same `poll_id`: the server may have answered it already.
        """
        while True:
            asked = time.monotonic()
            try:
                answer = await self._sent(question)
            except (Unauthorized, Forbidden, ValidationFailed) as error:
                if not self._answered:
                    raise
                logger.error("the server refuses to give tasks: %s", error)  # noqa: TRY400 - it says itself what to do
                self.trouble = str(error)
                await self._clock.sleep(MOST_PAUSE)
            except OrchestratorError as error:
                await self._clock.sleep(self._pause(error))
                if isinstance(error, Conflict):
                    return None
            else:
                self._answered, self._failures, self.trouble = True, 0, None
                if not answer.tasks and not answer.drain:
                    # A server that doesn't hold the question isn't to be asked in a circle.
                    await asyncio.sleep(min(HELD_SECONDS, question.wait) - (time.monotonic() - asked))
                return answer

    async def _sent(self, question: ClaimMany) -> ClaimedTasks:
        late = self._clock.now() + question.wait + LATE_SECONDS
        sending = asyncio.create_task(self._client.send(endpoints.claim_many(question), ONCE))
        try:
            while not sending.done():
                await asyncio.wait({sending}, timeout=LOOK_SECONDS)
                if not sending.done() and self._clock.now() > late:
                    raise ServerUnreachable("no answer came in time: this machine was suspended, or the connection is dead")
            return sending.result()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _pause(self, error: OrchestratorError) -> float:
        """Seconds until the next try; raises the error when there is to be none."""
        self._failures += 1
        if self._impatient and not self._answered and self._failures >= FIRST_TRIES:
            raise error
        asked = error.retry_after if isinstance(error, Retriable) else 0.0
        pause = max(asked, min(MOST_PAUSE, 2.0 ** min(self._failures, 5)) * random.uniform(0.5, 1.0))  # noqa: S311  spreads the load
        logger.warning("asking for tasks failed, next try in %.0f s: %s", pause, error)
        self.trouble = str(error)
        return pause
