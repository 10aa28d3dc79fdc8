"""Reads of a rig's store, without an event loop in sight."""

from collections.abc import Awaitable
from typing import TypeVar

from tests.rig import Rig

T = TypeVar("T")


def read(rig: Rig, awaited: Awaitable[T]) -> T:
    """What a query brings."""

    async def run() -> T:
        return await awaited

    return rig._runner.run(run())
