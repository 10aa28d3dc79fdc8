"""What reaches the triggers of deployed workflows: each delivery begins a run, or its history says why not."""

from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.domain import trigger_operations as ops
from orchestrator.domain.moves import to_json
from orchestrator.domain.outcomes import Change, Decision, Done, Noted, Received
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Delivery, Kept, Workflow
from orchestrator.domain.rules import Rules
from orchestrator.domain.runs import begin_run, visible_workflow
from orchestrator.domain.task import Millis
from orchestrator.domain.world import World
from worker_client.contract.enums import DeliveryOutcome
from worker_client.contract.fields import JsonObject
from worker_client.errors import NotFound, OrchestratorError

_HOUR: Final = 3_600_000
_TAKEN: Final = frozenset({DeliveryOutcome.FIRED, DeliveryOutcome.DRY_RUN, DeliveryOutcome.FETCHING})
"""What takes a key: what has failed or was filtered may come again."""
_LONGEST: Final = 1_000


class Pending(Struct, frozen=True):
    """What a run is to begin with, once what is wanted is known."""

    input: JsonObject
    trigger: JsonObject
    wants: JsonObject
    paths: list[str]
    dry_run: bool
    until: Millis


_object: Final = msgspec.json.Decoder(JsonObject)
pending_of: Final = msgspec.json.Decoder(Pending).decode
GIVEN_UP_MS: Final = 15 * 60_000
"""For so long GitHub is asked for what a delivery omits."""


def deliver(op: ops.Deliver, by: Principal, world: World, _rules: Rules) -> Decision:
    """Take a delivery, once."""
    workflow = _deployed(op.workflow_id, by, world) if op.workflow_id else None
    if workflow is None or op.outcome is DeliveryOutcome.REFUSED:
        return _again(op, DeliveryOutcome.REFUSED, op.reason or "refused", None, world)
    if op.key is not None and (known := _known(op, world)) is not None:
        return _again(op, DeliveryOutcome.DUPLICATE, f"taken already, as delivery {known.id}", known.run_id, world)
    row = _row(op, world)
    if op.outcome is DeliveryOutcome.FETCHING:
        pending = Pending(
            _object.decode(op.input),
            _object.decode(op.trigger),
            _object.decode(op.wants or "{}"),
            list(op.paths),
            op.dry_run,
            world.now + GIVEN_UP_MS,
        )
        after = replace(row, pending=msgspec.json.encode(pending).decode(), due_at=world.now)
        return Decision(Received(after), [Kept(after, fresh=True)])
    after, changes = _begun(row, workflow, _object.decode(op.input), _object.decode(op.trigger), world)
    return Decision(Received(after), [Kept(after, fresh=True), *changes])


def settle(op: ops.Settle, _by: Principal, world: World, _rules: Rules) -> Decision:
    """End a delivery's waiting; of several servers that ask, the first has done it."""
    row = world.records.get(Delivery, op.delivery_id)
    if row is None or row.pending is None:
        return Decision(Done())
    pending = pending_of(row.pending)
    outcome = DeliveryOutcome.DRY_RUN if pending.dry_run and op.outcome is DeliveryOutcome.FIRED else op.outcome
    waited = world.now - row.at
    over = replace(
        row, version=row.version + 1, outcome=str(outcome), reason=op.reason, pending=None, due_at=None, duration_ms=waited
    )
    workflow = world.records.get(Workflow, row.workflow_id)
    if workflow is None or workflow.deployed is None:
        gone = replace(over, outcome=str(DeliveryOutcome.FAILED), reason="the workflow was undeployed meanwhile")
        return Decision(Received(gone), [Kept(gone)])
    after, changes = _begun(over, workflow, _object.decode(op.input), pending.trigger, world)
    return Decision(Received(after), [Kept(after), *changes])


def postpone(op: ops.Postpone, _by: Principal, world: World, _rules: Rules) -> Decision:
    """Ask later."""
    row = world.records.get(Delivery, op.delivery_id)
    if row is None or row.pending is None:
        return Decision(Done())
    after = replace(row, version=row.version + 1, due_at=op.due_at, reason=op.reason[:_LONGEST], tries=row.tries + 1)
    return Decision(Done(1), [Kept(after)])


def _deployed(workflow_id: str, by: Principal, world: World) -> Workflow:
    """The workflow; on PostgreSQL its row keeps other servers from taking the same delivery at once."""
    workflow = visible_workflow(workflow_id, by, world)
    if workflow.deployed is None:
        raise NotFound(f"there is no workflow {workflow_id}", workflow_id=workflow_id)
    return workflow


def _known(op: ops.Deliver, world: World) -> Delivery | None:
    def such(row: Delivery) -> bool:
        same = (row.workflow_id, row.place, row.key) == (op.workflow_id, op.place, op.key)
        return same and row.outcome in _TAKEN

    found = world.records.find(Delivery, "deliveries_of_key", op.workflow_id, op.place, op.key, such=such)
    return found[0] if found else None


def _again(op: ops.Deliver, outcome: DeliveryOutcome, reason: str, run_id: int | None, world: World) -> Decision:
    """One more like others: within an hour they share a row, so that nobody fills the disk with them."""
    reason, key = reason[:_LONGEST], op.key if outcome is DeliveryOutcome.DUPLICATE else None
    since = world.now - _HOUR

    def such(row: Delivery) -> bool:
        same = (row.workflow_id, row.place, row.outcome) == (op.workflow_id, op.place, outcome)
        return same and row.at > since and (row.reason, row.key) == (reason, key)

    asked = (op.workflow_id, op.place, str(outcome), since, reason, key)
    found = world.records.find(Delivery, "deliveries_again", *asked, such=such)
    if found:
        before = max(found, key=lambda row: row.at)
        after = replace(before, version=before.version + 1, at=world.now, times=before.times + op.times, facts=op.facts)
        return Decision(Received(after), [Kept(after)])
    after = replace(_row(op, world), outcome=str(outcome), reason=reason, key=key, run_id=run_id, times=op.times)
    return Decision(Received(after), [Kept(after, fresh=True)])


def _row(op: ops.Deliver, world: World) -> Delivery:
    return Delivery(
        id=world.records.new_id(Delivery),
        version=1,
        workflow_id=op.workflow_id,
        place=op.place,
        type=op.type,
        key=op.key,
        at=world.now,
        outcome=str(op.outcome),
        reason=None if op.reason is None else op.reason[:_LONGEST],
        run_id=None,
        facts=op.facts,
        duration_ms=op.duration_ms,
    )


def _begun(
    row: Delivery, workflow: Workflow, input: JsonObject, trigger: JsonObject, world: World
) -> tuple[Delivery, list[Change]]:
    """The row with what comes of its outcome: a run, or an event that tells of what would have been."""
    told = {"workflow_id": workflow.id, "delivery_id": row.id, "trigger": row.place, "type": row.type}
    if row.outcome == DeliveryOutcome.DRY_RUN:
        return row, [Noted("trigger.dry_run", to_json({**told, "name": workflow.name, "version": workflow.deployed}))]
    if row.outcome != DeliveryOutcome.FIRED:
        return row, []
    try:
        run, changes = begin_run(world, workflow, workflow.deployed, input=input, trigger=trigger, source=row.type)
    except OrchestratorError as refusal:
        # A key that was taken by what failed could not come again.
        return replace(row, outcome=str(DeliveryOutcome.FAILED), reason=refusal.message[:_LONGEST]), []
    return replace(row, run_id=run.id), changes
