"""What all operations have in common."""

from enum import IntEnum
from typing import ClassVar

from msgspec import Struct

from worker_client.contract.enums import Scope


class Phase(IntEnum):
    """The order within a batch: a heartbeat beats its expiry, a freed directory and a new task meet their asker."""

    SHIFT = 0
    EXTEND = 1
    END = 2
    CHANGE = 3
    TIME = 4
    ENQUEUE = 5
    FOLLOW = 6
    CLAIM = 7


class Operation(Struct, frozen=True, kw_only=True):
    """Base of all operations.

    `needs`: the scope of who may ask for it; `sheds`: refused when the backlog is full; `ends`: can end a task, so its dependents
    are loaded.
    """

    phase: ClassVar[Phase]
    needs: ClassVar[Scope] = Scope.ADMIN
    sheds: ClassVar[bool] = False
    ends: ClassVar[bool] = False

    @property
    def touches(self) -> tuple[int, ...]:
        """Ids of the tasks that it may change."""
        return ()

    @property
    def weight(self) -> int:
        """How many rows it moves, roughly; batches are bounded by it."""
        return 1
