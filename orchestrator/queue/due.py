"""When something is due, as of the last commit, and who acts upon it."""

from collections.abc import Callable

from orchestrator.domain.task import Millis
from orchestrator.store.protocol import Commit, Look


class Due:
    """`next_due`: when a task or lease is due next; `leases`: whether any is live; `next_fire`: a schedule, in wall time."""

    def __init__(self) -> None:
        self.next_due: Millis | None = None
        self.leases = False
        self.next_fire: Millis | None = None
        self.on_commit: list[Callable[[], None]] = []
        """Called after each commit, and each look at a database that others write to."""

    def stands(self, found: Commit | Look) -> None:
        """So it is now."""
        self.next_due, self.leases, self.next_fire = found.next_due, found.leases, found.next_fire

    def tell(self) -> None:
        """Have those look who act upon it."""
        for look in self.on_commit:
            look()
