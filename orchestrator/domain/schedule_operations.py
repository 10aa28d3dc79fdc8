"""What can be asked about schedules; see orchestrator/domain/operations.py."""

from orchestrator.domain.operation import Operation, Phase
from orchestrator.domain.task import Millis
from worker_client.contract.enums import Scope
from worker_client.contract.schedules import CreateSchedule, UpdateSchedule

MOST_FIRES = 1_000
"""Of one transaction."""


class OnSchedule(Operation, frozen=True, kw_only=True):
    """An operation on one schedule."""

    phase = Phase.CHANGE
    schedule_id: int


class AddSchedule(Operation, frozen=True, kw_only=True):
    """A new schedule; `fires`: it also fires once at once."""

    phase = Phase.CHANGE
    body: CreateSchedule
    fires: bool = False


class ChangeSchedule(OnSchedule, frozen=True, kw_only=True):
    """Change what is not left out."""

    body: UpdateSchedule


class DeleteSchedule(OnSchedule, frozen=True, kw_only=True):
    """Remove a schedule with its history; what it has created goes on."""


class StartSchedule(OnSchedule, frozen=True, kw_only=True):
    """Let a schedule fire again, at times to come."""


class StopSchedule(OnSchedule, frozen=True, kw_only=True):
    """Let it fire no more; with `cancel`, up to `limit` tasks and runs of it that have not ended are cancelled, too."""

    cancel: bool = False
    limit: int = 500

    @property
    def weight(self) -> int:
        """Up to `limit` rows."""
        return self.limit if self.cancel else 1


class RestartSchedule(OnSchedule, frozen=True, kw_only=True):
    """Begin anew: without the runs and failures so far, and without what has not ended, of which up to `limit` is cancelled."""

    limit: int = 500

    @property
    def weight(self) -> int:
        """Up to `limit` rows."""
        return self.limit


class ExecuteSchedule(OnSchedule, frozen=True, kw_only=True):
    """Fire now, whatever its times are."""

    needs = Scope.SUBMIT
    sheds = True


class BackfillSchedule(OnSchedule, frozen=True, kw_only=True):
    """Fire for the due times from `start` to before `end` that have not fired."""

    needs = Scope.SUBMIT
    sheds = True
    start: Millis
    end: Millis

    @property
    def weight(self) -> int:
        """As many as may fire."""
        return MOST_FIRES


class FireDue(Operation, frozen=True, kw_only=True):
    """Fire what is due, for up to `limit` due times. `gives_up`: pause it instead, as nobody can fire it."""

    phase = Phase.TIME
    limit: int = MOST_FIRES
    gives_up: bool = False

    @property
    def weight(self) -> int:
        """Up to `limit` fires."""
        return self.limit


class SetScheduler(Operation, frozen=True, kw_only=True):
    """Let all schedules fire, or none, on all servers, until that is changed again."""

    phase = Phase.CHANGE
    running: bool
