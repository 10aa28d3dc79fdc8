"""What can be asked about workflows and their runs."""

from orchestrator.domain.operation import Operation, Phase
from worker_client.contract.enums import Scope


class SaveWorkflow(Operation, frozen=True, kw_only=True):
    """Save a checked definition as the next version of a workflow, or of a new one.

    `base`: the version that it was made from; `version`: the one that the client knows; `asks`: the secrets in it, with spaces
    between; `managed_by`: the files that keep a new one.
    """

    phase = Phase.CHANGE
    workflow_id: str | None = None
    base: int | None = None
    version: int | None = None
    name: str
    definition: str
    asks: str = ""
    managed_by: str | None = None


class DeleteWorkflow(Operation, frozen=True, kw_only=True):
    """Remove a workflow that is neither deployed nor running; its runs stay until they are past their retention."""

    phase = Phase.CHANGE
    workflow_id: str


class BeginRun(Operation, frozen=True, kw_only=True):
    """Begin a run of a version (None: the latest); `input`, `trigger`: JSON."""

    phase = Phase.CHANGE
    needs = Scope.SUBMIT
    sheds = True
    workflow_id: str
    number: int | None = None
    input: str = "{}"
    trigger: str = "{}"
    source: str = "api"


class CancelRun(Operation, frozen=True, kw_only=True):
    """End a run, and cancel those of its tasks that have not ended."""

    phase = Phase.CHANGE
    needs = Scope.SUBMIT
    ends = True
    run_id: int
    reason: str | None = None


class StopRuns(Operation, frozen=True, kw_only=True):
    """Cancel the unfinished runs of a workflow, up to `limit`."""

    phase = Phase.CHANGE
    needs = Scope.SUBMIT
    workflow_id: str
    reason: str | None = None
    limit: int = 100

    @property
    def weight(self) -> int:
        """Up to `limit` runs."""
        return self.limit


class ResumeRun(Operation, frozen=True, kw_only=True):
    """Take a run up again that failed or was cancelled; what has completed stays."""

    phase = Phase.CHANGE
    needs = Scope.SUBMIT
    run_id: int


class Follow(Operation, frozen=True, kw_only=True):
    """Do what follows from what happened to the work of runs and schedules: up to `limit` events, and about `tasks` new tasks.

    `gives_up`: the runs concerned end, as nobody can go on with them.
    """

    phase = Phase.FOLLOW
    limit: int = 1_000
    tasks: int = 1_000
    gives_up: bool = False

    @property
    def weight(self) -> int:
        """One row a task."""
        return self.tasks
