"""The steps that rules are made of: finding the task, checking the lease, writing the new head, telling the feed."""

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.domain import budgets
from orchestrator.domain.lifecycle import Verb, derive, permit
from orchestrator.domain.outcomes import Freed, Happened, Ready, Wake
from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Head, Lease, Outputs
from orchestrator.domain.world import World
from worker_client.contract.enums import LeaseEnd, ParkReason, Status
from worker_client.errors import LeaseLost, NotFound, ValidationFailed

DEPENDENCY_FAILED = "dependency_failed"
_ENDS = {
    Verb.COMPLETE: LeaseEnd.ALREADY_APPLIED,
    Verb.FAIL: LeaseEnd.ALREADY_APPLIED,
    Verb.EXPIRE: LeaseEnd.EXPIRED,
    Verb.RELEASE: LeaseEnd.RELEASED,
    Verb.PARK: LeaseEnd.RELEASED,
    Verb.UNDELIVER: LeaseEnd.RELEASED,
}
_encoder = msgspec.json.Encoder()


def to_json(value: object) -> str:
    """JSON text for a column."""
    return _encoder.encode(value).decode()


def visible(task_id: int, by: Principal, world: World) -> Head:
    """The task, or NotFound when there is none or who asks can't see its directory."""
    head = world.head(task_id)
    if head is None or not by.paths.covers(head.path):
        raise NotFound(f"there is no task {task_id}", task_id=task_id)
    return head


def leased(task_id: int, lease: str, verb: Verb, by: Principal, world: World) -> Head:
    """The running task whose current lease this is, or LeaseLost."""
    head = visible(task_id, by, world)
    sent = Lease.parse(lease)
    if sent is None:
        raise ValidationFailed(f"{lease[:100]!r} is no lease; send the `lease` that the claim returned", field="lease")
    current = Lease(head.id, head.lease_no, head.nonce or "")
    if head.status is Status.RUNNING and sent == current and head.claimed_by == by.id:
        permit(verb, head.status, head.id)
        return head
    raise lost(head, verb, same=sent == current)


def lost(head: Head, verb: Verb, *, same: bool) -> LeaseLost:
    """The refusal for a lease that is not the current one; `same`: it was the latest."""
    if not same or head.status is Status.RUNNING:
        reason = LeaseEnd.RECLAIMED
    elif head.ended_by == verb:
        reason = LeaseEnd.ALREADY_APPLIED
    elif head.status is Status.CANCELLED:
        reason = LeaseEnd.CANCELLED
    else:
        reason = _ENDS.get(Verb(head.ended_by), LeaseEnd.RECLAIMED) if head.ended_by else LeaseEnd.RECLAIMED
        if reason is LeaseEnd.ALREADY_APPLIED:
            reason = LeaseEnd.RELEASED
    return LeaseLost(
        f"the lease on task {head.id} is not current ({reason}), the task is {head.status}: nothing changed, stop the work",
        task_status=str(head.status),
        reason=reason,
        task_id=head.id,
    )


def revise(head: Head, world: World, **facts: Any) -> Head:
    """The head with other facts, one version later."""
    return replace(head, version=head.version + 1, updated_at=world.now, **facts)


def settle(head: Head, world: World, rules: Rules, **facts: Any) -> Head:
    """The head with other facts and the status and rank that follow from them; not for running or final."""
    settled = revise(head, world, **facts)
    if settled.hold is None and (words := budgets.used_up(settled.budget)) is not None:
        # So there is no way on which a task comes back whose budget is used up.
        settled = replace(settled, hold=ParkReason.BUDGET, hold_until=None, reason=words)
    status = derive(
        open_parents=world.has_open_parents(settled), held=settled.hold is not None, due_at=settled.due_at, now=world.now
    )
    return replace(settled, status=status, rank=rules.rank(settled.ready_at, settled.priority), finished_at=None)


_UNLEASED: dict[str, Any] = {
    "lease_mode": 0,
    "lease_host": None,
    "lease_ends_at": None,
    "lease_deadline": None,
    "confirm_by": None,
    "expire_at": None,
    "poll_key": None,
    "poll_hash": None,
    "cancel_requested_at": None,
}


def unlease(verb: Verb) -> dict[str, Any]:
    """The facts of a task whose lease has just ended; its number and nonce stay, to know a repeated report."""
    return {**_UNLEASED, "ended_by": verb.value}


def finish(head: Head, world: World, status: Status, **facts: Any) -> Head:
    """The head in a final status."""
    return revise(head, world, status=status, finished_at=world.now, hold=None, hold_until=None, **facts)


def pinned(head: Head, agent: str, outputs: Outputs | None) -> str:
    """The agent of a task that was told of a session: who else could go on with that, where the task named none?"""
    return agent if outputs and outputs.session_id and not head.agent else head.agent


def ready(head: Head) -> list[Wake]:
    """The wake for a task that may have become claimable."""
    if head.status is not Status.WAITING:
        return []
    return [Ready(head.id, head.path, head.host, head.kind, head.tags, head.agent)]


def stood_aside(head: Head) -> list[Wake]:
    """The wake for a waiting task that leaves the queue: an exclusive one may have kept those behind it back."""
    return [Freed(head.path)] if head.exclusive and head.status is Status.WAITING else []


def freed(head: Head, world: World, rules: Rules) -> Wake:
    """The wake for the end of a lease: around its directory, or as far as a limit that it counted in reaches."""
    if rules.max_running:
        return Freed(None)
    limited = [
        setting.path
        for setting in world.settings_over(head.path, head.lease_host or "")
        if (setting.max_running, setting.daily_attempts) != (None, None)
    ]
    return Freed(limited[-1] if limited else head.path)


class Facts(Struct, kw_only=True, omit_defaults=True):
    """What an event says beyond the task's status; only what applies is written."""

    attempt: int | None = None
    lease_no: int | None = None
    worker_id: str | None = None
    reason: str | None = None
    message: str | None = None
    due_at: int | None = None
    parent: int | None = None
    previous: str | None = None
    source: str | None = None
    fields: list[str] | None = None


def happened(kind: str, head: Head, **facts: Any) -> Happened:
    """An event of the feed about a task, with the Facts that apply."""
    return Happened(f"task.{kind}", head, to_json(Facts(**facts)) if facts else "{}")
