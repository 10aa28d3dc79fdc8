"""Plain Python functions as runners."""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any

from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Done, Failed, Outcome, Parked, Released

logger = logging.getLogger("worker_client")
Handler = Callable[[RunContext], Any]
"""Takes the context; returns the result as JSON, or an Outcome. A function that isn't async runs in a thread of its own."""


class HandlerRunner:
    """Runs the tasks of one kind with one function."""

    needs_directory = False

    def __init__(self, kind: str, handler: Handler) -> None:
        self.kind = kind
        self._handler = handler

    async def run(self, context: RunContext) -> Outcome:
        """Call the function."""
        if inspect.iscoroutinefunction(self._handler):
            value = await self._handler(context)
        else:
            value = await _in_thread(self._handler, context)
        return value if isinstance(value, Done | Failed | Parked | Released) else Done(value)


async def _in_thread(handler: Handler, context: RunContext) -> Any:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(value) if error is None else ended.set_exception(error)

    def work() -> None:
        value, error = None, None
        try:
            value = handler(context)
        except Exception as raised:  # noqa: BLE001  it's the caller's to judge
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, error)

    # A thread of an executor would keep the process from ending when the function doesn't.
    threading.Thread(target=work, name=f"task-{context.task.id}", daemon=True).start()
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        # A thread can't be ended from outside. It sees `context.cancelled`; the next cancellation gives it up.
        try:
            await asyncio.wait({ended})
        except asyncio.CancelledError:
            logger.error("task %d: the function doesn't look at `cancelled` and goes on in its thread", context.task.id)  # noqa: TRY400  its trace says nothing
            raise
        return ended.result()
