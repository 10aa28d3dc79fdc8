"""A search that is ahead of the index of words has that hurry."""

from collections.abc import Awaitable
from typing import TypeVar

from orchestrator.queue.commit import Queue
from orchestrator.store.reads.searching import BehindError

T = TypeVar("T")


async def searched(queue: Queue, read: Awaitable[T]) -> T:
    """What is read. Raises BehindError; who asks again soon is answered."""
    try:
        return await read
    except BehindError:
        queue.feed.searched.set()
        raise
