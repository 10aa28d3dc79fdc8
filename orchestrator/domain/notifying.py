"""What rules are told is sent: taken by one server at a time, tried again after a while, given up in the end."""

from typing import Final

from msgspec.structs import replace

from orchestrator.domain import notification_operations as ops
from orchestrator.domain.announcing import pending
from orchestrator.domain.notification_outcomes import Again, Taken
from orchestrator.domain.notification_records import Notification, NotificationRule
from orchestrator.domain.notification_rules import told, visible
from orchestrator.domain.outcomes import Change, Decision, Done
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Kept
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis
from orchestrator.domain.world import World
from worker_client.contract.enums import NotificationStatus
from worker_client.errors import Conflict, NotFound

FACTOR: Final = 3
LONGEST_MS: Final[Millis] = 6 * 3_600_000
"""Between two tries; with the defaults the last of twelve is about a day after the first."""
MOST_PAUSE_MS: Final[Millis] = 24 * 3_600_000
"""A receiver that asks to be left alone for longer is asked again after a day."""
_LONGEST: Final = 1_000


def take(op: ops.TakeNotifications, _by: Principal, world: World, _rules: Rules) -> Decision:
    """Have a server send what is due."""
    rows: list[tuple[Notification, NotificationRule]] = []
    changes: list[Change] = []
    for rule_id in sorted(op.room):
        rule = world.records.get(NotificationRule, rule_id)
        if rule is None or not rule.enabled:
            continue
        found = world.records.find(
            Notification,
            "notifications_due",
            rule_id,
            world.now,
            op.room[rule_id],
            such=lambda row, of=rule_id: row.rule_id == of and row.due_at is not None and row.due_at <= world.now,  # type: ignore[misc]
        )
        for row in sorted(found, key=lambda row: (row.due_at or 0, row.id))[: op.room[rule_id]]:
            after = replace(row, version=row.version + 1, holder=op.holder, due_at=world.now + op.hold_ms)
            rows.append((after, rule))
            changes.append(Kept(after))
    return Decision(Taken(rows), changes)


def settle(op: ops.SettleNotification, _by: Principal, world: World, rules: Rules) -> Decision:
    """Keep what came of a try; one of a server that another has taken it over from says nothing."""
    row = world.records.get(Notification, op.notification_id)
    if row is None or row.status != NotificationStatus.PENDING or row.holder != op.holder:
        return Decision(Done(0))
    rule = world.records.get(NotificationRule, row.rule_id)
    tried = replace(
        row,
        version=row.version + 1,
        holder=None,
        tries=row.tries + 1,
        tried_at=world.now,
        answered=op.answered,
        reason=None if op.reason is None else op.reason[:_LONGEST],
    )
    most = (rule.wanted.tries if rule is not None else None) or rules.notify_tries
    changes: list[Change] = []
    if op.delivered:
        changes += _ended(tried, NotificationStatus.DELIVERED, world)
    elif op.gone or tried.tries >= most:
        changes += _ended(tried, NotificationStatus.DEAD, world)
    else:
        changes.append(Kept(replace(tried, due_at=world.now + _pause(tried.tries, op.after_ms, world, rules))))
    if op.gone and rule is not None and rule.enabled:
        why = "the receiver answered 410: it wants nothing more"
        off = replace(rule, version=rule.version + 1, enabled=False, disabled_reason=why, updated_at=world.now)
        changes += [Kept(off), told("rule_disabled", off, reason=why)]
    return Decision(Done(1), changes)


def _pause(tries: int, asked: Millis | None, world: World, rules: Rules) -> Millis:
    """Until the next try: longer each time, some of it chance, and no shorter than the receiver asks for."""
    pause = min(LONGEST_MS, rules.notify_retry_ms * int(FACTOR ** min(tries - 1, 20)))
    pause = round(pause * (0.8 + 0.4 * world.chance()))
    return max(pause, min(asked or 0, MOST_PAUSE_MS))


def _ended(row: Notification, status: NotificationStatus, world: World) -> list[Change]:
    """The row at its end, and the next one of its lane, whose turn it is."""
    over = replace(row, status=str(status), due_at=None, finished_at=world.now)
    found = world.records.find(
        Notification,
        "notifications_next",
        row.rule_id,
        row.lane,
        row.id,
        such=lambda one: (
            (one.rule_id, one.lane, one.status) == (row.rule_id, row.lane, NotificationStatus.PENDING) and one.id != row.id
        ),
    )
    following = min(found, key=lambda one: one.id, default=None)
    if following is None or following.due_at is not None:
        return [Kept(over)]
    return [Kept(over), Kept(replace(following, version=following.version + 1, due_at=world.now))]


def give_back(op: ops.GiveBackNotifications, _by: Principal, world: World, _rules: Rules) -> Decision:
    """What is being sent by one who goes, or by those who have gone, is due at once."""
    query = "notifications_held_by_others" if op.others else "notifications_held"
    found = world.records.find(
        Notification,
        query,
        op.holder,
        such=lambda row: row.holder is not None and (row.holder == op.holder) is not op.others,
    )
    back = [replace(row, version=row.version + 1, holder=None, due_at=world.now) for row in found]
    return Decision(Done(len(back)), [Kept(row) for row in back])


def redeliver(op: ops.Redeliver, by: Principal, world: World, _rules: Rules) -> Decision:
    """Send one again."""
    row = world.records.get(Notification, op.notification_id)
    rule = None if row is None else world.records.get(NotificationRule, row.rule_id)
    if row is None or rule is None or not rule.reach.within(by.paths):
        raise NotFound(f"there is no notification {op.notification_id}", notification_id=op.notification_id)
    _check_on(rule)
    if row.status == NotificationStatus.PENDING:
        raise Conflict(f"notification {row.id} is pending: it is sent anyhow")
    return Decision(Again(1), [Kept(_anew(row, world))])


def redeliver_dead(op: ops.RedeliverDead, by: Principal, world: World, _rules: Rules) -> Decision:
    """Send again what was given up of a rule."""
    rule = visible(op.rule_id, by, world)
    _check_on(rule)
    found = world.records.find(
        Notification,
        "notifications_dead",
        rule.id,
        op.limit,
        such=lambda row: (row.rule_id, row.status) == (rule.id, NotificationStatus.DEAD),
    )
    decision = Decision(Again(len(found), more=len(found) >= op.limit))
    for row in sorted(found, key=lambda row: row.id):
        change = Kept(_anew(row, world))
        world.apply([change])
        decision.changes.append(change)
    return decision


def _check_on(rule: NotificationRule) -> None:
    if not rule.enabled:
        raise Conflict(f"notification rule {rule.id} is off: turn it on before, so that something is sent", rule_id=rule.id)


def _anew(row: Notification, world: World) -> Notification:
    """The row with all its tries before it; it waits for what is being sent of its lane."""
    alone = not pending([(row.rule_id, row.lane)], world)
    return replace(
        row,
        version=row.version + 1,
        status=str(NotificationStatus.PENDING),
        tries=0,
        due_at=world.now if alone else None,
        finished_at=None,
    )
