"""Accounts whose quota is used up, and workers that are to drain: whoever is concerned gets nothing until that is over."""

from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.holders import Account, Drain, patterns
from orchestrator.domain.moves import happened, ready, settle, to_json
from orchestrator.domain.outcomes import (
    AccountSaved,
    Change,
    Decision,
    Done,
    Drained,
    DrainSaved,
    Lifted,
    Noted,
    Resumed,
    Saved,
    Wake,
)
from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis
from orchestrator.domain.world import World
from worker_client.contract.enums import ParkReason, Status
from worker_client.errors import NotFound, ValidationFailed

DRAIN_REQUESTED = "task.drain_requested"
"""The event that has a held heartbeat ask once more."""


def is_held(account: str, by: Principal, world: World) -> bool:
    """Whether the quota of an account is used up, as far as who asks is concerned: others' accounts may have its name."""
    known = world.holds.account(by.paths.key, account)
    return known is not None and known.held_until is not None and known.held_until > world.now


def hold(account: str, until: Millis, reason: str | None, by: Principal, world: World) -> list[Change]:
    """Keep an account from being used until a time at least: what was said before of a later one stands."""
    known = world.holds.account(by.paths.key, account)
    if known is not None and known.held_until is not None and known.held_until >= until:
        return []
    return _hold(known or _own(account, by), until, reason, world, fresh=known is None)


def _own(account: str, by: Principal) -> Account:
    return Account(scope=by.paths.key, account=account, paths=patterns(by.paths))


def _hold(known: Account, until: Millis, reason: str | None, world: World, *, fresh: bool) -> list[Change]:
    after = replace(known, held_until=until, reason=reason, updated_at=world.now)
    told = {"account": after.account, "scope": after.scope, "until": until, "reason": reason}
    return [AccountSaved(after, fresh=fresh), Noted("account.held", to_json(told))]


def lift(known: Account, world: World) -> tuple[list[Change], list[Wake]]:
    """Let an account be used again."""
    after = replace(known, held_until=None, reason=None, updated_at=world.now)
    told = {"account": after.account, "scope": after.scope}
    return [AccountSaved(after, fresh=False), Noted("account.resumed", to_json(told))], [Resumed(after.scope, after.account)]


def set_account(op: ops.SetAccount, by: Principal, world: World, rules: Rules) -> Decision:
    """Hold an account, or let it be used again: as all know it whose credentials see no more than who asks."""
    known = [one for one in world.holds.named(op.account) if one.reach.within(by.paths)]
    if op.held_until is None:
        return _lifted(op, known, by, world, rules)
    if op.held_until <= world.now:
        raise ValidationFailed(
            "`held_until` is over: send a time to come, or null to let the account be used", field="held_until"
        )
    changes: list[Change] = []
    for one in known if any(one.scope == by.paths.key for one in known) else [*known, _own(op.account, by)]:
        changes += _hold(one, op.held_until, op.reason, world, fresh=one not in known)
    return Decision(Lifted(None), changes)


def _lifted(op: ops.SetAccount, known: list[Account], by: Principal, world: World, rules: Rules) -> Decision:
    heads = world.parked_for(op.account, op.after, op.limit)
    last = heads[-1].id if len(heads) >= op.limit else None
    seen = [head for head in heads if by.paths.covers(head.path)]
    if not (known or seen or op.after or last):
        raise NotFound(f"there is no account {op.account}: see `GET /accounts` for those that wait", account=op.account)
    decision = Decision(Lifted(last))
    for one in known:
        if one.held_until is not None:
            changes, wakes = lift(one, world)
            decision.changes += changes
            decision.wakes += wakes
    for head in seen:
        if head.status is Status.PARKED and head.hold == ParkReason.QUOTA:
            after = settle(head, world, rules, hold=None, hold_until=None)
            decision.changes += [Saved(after), happened("ready", after)]
            decision.wakes += ready(after)
    return decision


def drain_worker(op: ops.DrainWorker, by: Principal, world: World, _rules: Rules) -> Decision:
    """Tell a worker to drain, or no longer: the one whose credential sees no more than who tells it."""
    drain = Drain(
        worker_id=op.worker_id, scope=by.paths.key, paths=patterns(by.paths), reason=op.reason, since=world.now
    )  # fmt: skip
    told = {"worker_id": op.worker_id, "paths": drain.paths, "reason": op.reason}
    if op.undo:
        gone = [one for one in world.holds.drains() if one.worker_id == op.worker_id and one.reach.within(by.paths)]
        changes: list[Change] = [DrainSaved(one, drained=False) for one in gone]
        return Decision(Done(len(gone)), [*changes, Noted("worker.undrained", to_json(told))] if gone else [])
    held = [head for head in world.running_of(op.worker_id) if by.paths.covers(head.path)]
    # Each held heartbeat looks at the events of its own task.
    asked = [happened(DRAIN_REQUESTED.removeprefix("task."), head, worker_id=op.worker_id, reason=op.reason) for head in held]
    changes = [DrainSaved(drain, drained=True), Noted("worker.drained", to_json(told)), *asked]
    return Decision(Done(len(held)), changes, wakes=[Drained(op.worker_id, drain.paths)])
