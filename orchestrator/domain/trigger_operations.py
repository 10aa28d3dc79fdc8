"""What can be asked about triggers; see orchestrator/domain/operations.py."""

from orchestrator.domain.operation import Operation, Phase
from orchestrator.domain.task import Millis
from worker_client.contract.enums import DeliveryOutcome, Scope


class Deploy(Operation, frozen=True, kw_only=True):
    """Turn the triggers of a version (None: the latest) of a workflow on, and those of another version off."""

    phase = Phase.CHANGE
    workflow_id: str
    number: int | None = None


class Undeploy(Operation, frozen=True, kw_only=True):
    """Turn the triggers of a workflow off; runs go on."""

    phase = Phase.CHANGE
    workflow_id: str


class Deliver(Operation, frozen=True, kw_only=True):
    """Something has reached the trigger of a deployed workflow at a place: begin a run, or keep in its history why not.

    `outcome`: all but duplicate, with the `reason`; a delivery with a known `key` becomes one.
    `input`, `trigger`: JSON, what templates see; `facts`: JSON for the history. `wants`: JSON of what is to be asked for first,
    `paths`: patterns that files have to match which it brings to light. `times`: of refused ones, how many there were.
    An empty `workflow_id`: refused before it was known whom it is for.
    """

    phase = Phase.ENQUEUE
    needs = Scope.SUBMIT
    sheds = True
    workflow_id: str
    place: int
    type: str
    key: str | None = None
    outcome: DeliveryOutcome = DeliveryOutcome.FIRED
    reason: str | None = None
    input: str = "{}"
    trigger: str = "{}"
    facts: str = "{}"
    wants: str | None = None
    paths: tuple[str, ...] = ()
    dry_run: bool = False
    duration_ms: int = 0
    times: int = 1


class Settle(Operation, frozen=True, kw_only=True):
    """What a delivery waited for is there, or is given up: begin its run (`input`: JSON), or keep why not."""

    phase = Phase.ENQUEUE
    delivery_id: int
    outcome: DeliveryOutcome
    reason: str | None = None
    input: str = "{}"


class Postpone(Operation, frozen=True, kw_only=True):
    """What a delivery waits for cannot be had now: ask again at a time, and keep why."""

    phase = Phase.CHANGE
    delivery_id: int
    due_at: Millis
    reason: str
