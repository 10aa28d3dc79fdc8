"""The doorbell between servers: who commits rings it for all others."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import psycopg
import structlog

from orchestrator.store.postgres.engine import PATIENCE_S, options

log = structlog.get_logger()

CHANNEL: Final = "orchestrator"
_LONGEST_PAUSE_S: Final = 5.0


class Listener:
    """`tell` is called with the ids of the tasks that have new output, empty when there are new events.

    `own`: the process id of this server's writing connection, whose rings are not for it.
    """

    def __init__(self, url: str, tell: Callable[[tuple[int, ...]], None], own: Callable[[], int | None]) -> None:
        self._url = url
        self._tell = tell
        self._own = own
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen until `stop`, over lost connections, too; on return the first connection listens."""
        connection = await self._connected()
        self._task = asyncio.create_task(self._run(connection), name="listener")

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._task
            self._task = None

    async def _run(self, connection: "psycopg.AsyncConnection[Any] | None") -> None:
        pause = 0.1
        while True:
            try:
                connection = connection or await self._connected()
                # What was rung while nobody listened is found by looking.
                self._tell(())
                pause = 0.1
                async for ring in connection.notifies():
                    if ring.pid != self._own():
                        self._tell(_ids(ring.payload))
            except psycopg.Error as error:
                log.debug("the doorbell is out of order", error=str(error))
            except Exception:
                log.exception("the doorbell failed and goes on")
            finally:
                if connection is not None:
                    await connection.close()
                connection = None
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _connected(self) -> "psycopg.AsyncConnection[Any]":
        connection = await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=PATIENCE_S,
            # It only listens: without these it would never notice that nobody is there any more.
            keepalives_idle=PATIENCE_S,
            keepalives_interval=1,
            keepalives_count=5,
            options=options(),
            application_name="task-orchestrator bell",
        )
        await connection.execute(f"LISTEN {CHANNEL}")
        return connection


def _ids(payload: str) -> tuple[int, ...]:
    """The ids that a ring brings; whoever else rings on this channel has none."""
    numbers = payload.split(",")
    return tuple(map(int, numbers)) if all(number.isdecimal() for number in numbers) else ()
