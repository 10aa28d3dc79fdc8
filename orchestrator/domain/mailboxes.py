"""One server at a time reads the mailbox, and the triggers remember up to where."""

from msgspec.structs import replace

from orchestrator.domain import mailbox_operations as ops
from orchestrator.domain.outcomes import Change, Decision, Tended
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Kept, TriggerState
from orchestrator.domain.rules import Rules
from orchestrator.domain.world import World


def tend(op: ops.TendMailbox, _by: Principal, world: World, _rules: Rules) -> Decision:
    """Nothing changes while another server has the mailbox."""
    found = world.records.find(TriggerState, "states_of_type", "email", such=lambda row: row.type == "email")
    rows = {(row.workflow_id, row.place): row for row in sorted(found, key=lambda row: row.identity)}
    if any(_is_others(row, op.holder, world) for row in rows.values()):
        return Decision(Tended(held=False, states={}))
    held = {"holder": op.holder, "held_until": world.now + op.hold_ms} if op.hold_ms else {"holder": None, "held_until": None}
    changes: list[Change] = []
    for place, row in rows.items():
        state, failing = op.states.get(place, row.state), op.failing.get(place, row.failing)
        after = replace(row, state=state, failing=failing, **held)
        if after != row:
            changes.append(Kept(replace(after, version=row.version + 1, updated_at=world.now)))
    return Decision(Tended(held=True, states={place: op.states.get(place, row.state) for place, row in rows.items()}), changes)


def _is_others(row: TriggerState, holder: str, world: World) -> bool:
    return row.holder not in {None, holder} and row.held_until is not None and row.held_until > world.now
