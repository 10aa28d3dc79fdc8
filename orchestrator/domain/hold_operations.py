"""What can be asked about accounts and workers; see orchestrator/domain/operations.py."""

from orchestrator.domain.operation import Operation, Phase
from orchestrator.domain.task import Millis


class SetAccount(Operation, frozen=True, kw_only=True):
    """Keep an account from being used until a time, or (None) let it be used again, and bring tasks back that wait for it.

    Those are up to `limit` with ids above `after`.
    """

    phase = Phase.CHANGE
    account: str
    held_until: Millis | None = None
    reason: str | None = None
    after: int = 0
    limit: int = 500

    @property
    def weight(self) -> int:
        """Up to `limit` rows."""
        return self.limit


class DrainWorker(Operation, frozen=True, kw_only=True):
    """Have a worker end what it does and ask for nothing more; `undo`: no longer."""

    phase = Phase.CHANGE
    worker_id: str
    reason: str | None = None
    undo: bool = False
