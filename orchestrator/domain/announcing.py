"""Rules are told of what happened: each event that one wants becomes a message, put down once, in the order of the feed."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from orchestrator.domain import notification_operations as ops
from orchestrator.domain.moves import to_json
from orchestrator.domain.notification_outcomes import Announced
from orchestrator.domain.notification_records import Brief, Definition, Heard, Notification, NotificationRule
from orchestrator.domain.notification_rules import FAILURES, PREFIX, matches
from orchestrator.domain.outcomes import Decision
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Consumer, Kept
from orchestrator.domain.rules import Rules
from orchestrator.domain.world import World
from worker_client.contract.enums import NotificationStatus, Priority, Status
from worker_client.contract.notifications import NotifiedTask

NAME: Final = "announcer"
WAITING: Final = "task.waiting_long"
"""What a rule is told of a task that waits for longer than it says."""
_LONGEST: Final = 16_000
"""Characters of a text of a task that are told."""
_PRIORITIES: Final = tuple(Priority)


class Payload(Struct, frozen=True, kw_only=True):
    """What is told of an event; the rest is in the columns."""

    path: str
    host: str
    status: str | None
    data: msgspec.Raw
    run_id: int | None
    task: NotifiedTask | None


class _Facts(Struct):
    attempt: int | None = None
    rule_id: int | None = None


_facts: Final = msgspec.json.Decoder(_Facts).decode
_any: Final = msgspec.json.Decoder().decode
_tags: Final = msgspec.json.Decoder(list[str]).decode
_data: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Told(Protocol):
    """What is looked at of an event."""

    @property
    def id(self) -> int:
        """Its place in the feed."""

    @property
    def type(self) -> str:
        """What happened."""

    @property
    def path(self) -> str:
        """Where."""

    @property
    def status(self) -> str | None:
        """How the task stands."""

    @property
    def data(self) -> str:
        """What else is to be known, as JSON."""


def wants(rule: NotificationRule, event: Told) -> bool:
    """Whether a rule is to be told of an event, as far as this tells it alone."""
    wanted = rule.wanted
    if event.id <= rule.from_event or not _named(wanted, event.type):
        return False
    if wanted.status and event.status not in wanted.status:
        return False
    if wanted.failed_times is not None and (_facts(event.data).attempt or 0) < wanted.failed_times:
        return False
    if event.type.startswith(PREFIX) and _facts(event.data).rule_id == rule.id:
        return False
    return _within(rule, event.path)


def _named(wanted: Definition, type: str) -> bool:
    if wanted.failed_times is not None and type not in FAILURES:
        return False
    patterns = wanted.events or (FAILURES if wanted.failed_times is not None else ())
    return any(matches(pattern, type) for pattern in patterns)


def _within(rule: NotificationRule, path: str) -> bool:
    """Whether a directory, or with no path the server, is something that a rule may hear of, and wants to."""
    seen = rule.paths is None or (bool(path) and rule.reach.covers(path))
    places = rule.wanted.places
    return seen and (places is None or (bool(path) and places.covers(path)))


def about(wanted: Definition, task: Brief | None) -> bool:
    """Whether a rule wants what happens to a task, which may be gone."""
    if not wanted.tags and not wanted.priority:
        return True
    if task is None:
        return False
    if wanted.priority and _PRIORITIES[task.priority] not in wanted.priority:
        return False
    return set(wanted.tags) <= set(_tags(task.tags))


def announce(op: ops.Announce, _by: Principal, world: World, rules: Rules) -> Decision:
    """Read the feed where the last one ended, or where the oldest rule begins."""
    found = enabled(world)
    if not found:
        return Decision(Announced(0, 0, more=False))
    at = world.records.get(Consumer, NAME)
    begin = max(at.last_event if at else 0, min(rule.from_event for rule in found))
    events = world.source.heard(begin, op.limit)
    if not events:
        return Decision(Announced(0, 0, more=False))
    pairs = [] if op.gives_up else [(rule, event) for event in events for rule in found if wants(rule, event)]
    tasks = _tasks((event.task_id for _, event in pairs), world)
    made = [
        (rule, f"event/{event.id}", event, task)
        for rule, event in pairs
        if about(rule.wanted, task := _seen(rule, tasks.get(event.task_id)))
    ]
    decision = _put_down(made, world, rules)
    version = 1 if at is None else at.version + 1
    decision.changes.append(Kept(Consumer(name=NAME, version=version, last_event=events[-1].id), fresh=at is None))
    decision.outcome = Announced(len(events), len(made), more=len(events) >= op.limit)
    return decision


def _seen(rule: NotificationRule, task: Brief | None) -> Brief | None:
    """A task as it is now, unless it has moved to where the rule sees nothing since the event."""
    return task if task is not None and rule.reach.covers(task.path) else None


def enabled(world: World) -> list[NotificationRule]:
    """The rules that are on."""
    found = world.records.find(NotificationRule, "rules_enabled", such=lambda rule: rule.enabled)
    return sorted(found, key=lambda rule: rule.id)


def announce_waiting(op: ops.AnnounceWaiting, _by: Principal, world: World, rules: Rules) -> Decision:
    """Tell of tasks that still wait as they were found to; of each time of waiting once."""
    # Of several servers one at a time puts down anything.
    world.records.get(Consumer, NAME)
    ruling = {rule.id: rule for rule in enabled(world)}
    tasks = _tasks((one.task_id for one in op.found), world)
    known = _known([(one.rule_id, _waiting_key(one)) for one in op.found], world)
    made = []
    for one in op.found:
        rule, task = ruling.get(one.rule_id), tasks.get(one.task_id)
        if rule is None or task is None or (one.rule_id, _waiting_key(one)) in known:
            continue
        if (task.status, task.lease_no, task.ready_at) != (Status.WAITING, one.lease_no, one.ready_at):
            continue
        told = to_json({"seconds": (world.now - one.since) // 1000})
        event = Heard(0, world.now, WAITING, task.id, task.path, task.host, task.status, told, None, None)
        if _within(rule, task.path) and about(rule.wanted, task):
            made.append((rule, _waiting_key(one), event, task))
    decision = _put_down(made, world, rules)
    decision.outcome = Announced(0, len(made), more=False)
    return decision


def _waiting_key(one: ops.Waited) -> str:
    """Of a time of waiting; as in sql/notifications.sql."""
    return f"waiting/{one.task_id}/{one.lease_no}/{one.ready_at}"


def _known(keys: Sequence[tuple[int, str]], world: World) -> set[tuple[int, str]]:
    wanted = set(keys)
    found = world.records.find(
        Notification,
        "notifications_of_keys",
        sorted({rule_id for rule_id, _ in wanted}),
        sorted({key for _, key in wanted}),
        such=lambda row: (row.rule_id, row.key) in wanted,
    )
    return {(row.rule_id, row.key) for row in found}


def _tasks(ids: Iterable[int], world: World) -> dict[int, Brief]:
    wanted = sorted({task_id for task_id in ids if task_id})
    return {brief.id: brief for brief in world.source.briefs(wanted)} if wanted else {}


def _put_down(made: Sequence[tuple[NotificationRule, str, Heard, Brief | None]], world: World, rules: Rules) -> Decision:
    """The messages as rows; the first of its lane is due now, each other one after the one before it."""
    lanes = {(rule.id, _lane(event)) for rule, _, event, _ in made}
    taken = {(row.rule_id, row.lane) for row in pending(lanes, world)} if lanes else set[tuple[int, str]]()
    decision = Decision(Announced(0, 0, more=False))
    for rule, key, event, task in made:
        lane = (rule.id, _lane(event))
        row = Notification(
            id=world.records.new_id(Notification),
            version=1,
            rule_id=rule.id,
            key=key,
            message_id=f"msg_{world.nonce()}",
            lane=lane[1],
            event_id=event.id or None,
            type=event.type,
            task_id=event.task_id,
            at=event.at,
            payload=to_json(_payload(rule, event, task, rules)),
            status=str(NotificationStatus.PENDING),
            tries=0,
            due_at=None if lane in taken else world.now,
            holder=None,
            reason=None,
            answered=None,
            created_at=world.now,
            tried_at=None,
            finished_at=None,
        )
        taken.add(lane)
        decision.changes.append(Kept(row, fresh=True))
    return decision


def pending(lanes: Iterable[tuple[int, str]], world: World) -> list[Notification]:
    """What waits at the ends of lanes, where there is something; nobody else ends it before this is committed."""
    wanted = set(lanes)
    return world.records.find(
        Notification,
        "notifications_last",
        sorted({rule_id for rule_id, _ in wanted}),
        sorted({lane for _, lane in wanted}),
        such=lambda row: row.finished_at is None and (row.rule_id, row.lane) in wanted,
    )


def _lane(event: Heard) -> str:
    """What is told in order: all of a task, of a run, of a schedule, and of everything else."""
    if event.task_id:
        return f"task/{event.task_id}"
    if event.run_id is not None:
        return f"run/{event.run_id}"
    return "" if event.schedule_id is None else f"schedule/{event.schedule_id}"


def _payload(rule: NotificationRule, event: Heard, task: Brief | None, rules: Rules) -> Payload:
    data = event.data
    if rule.paths is not None and '"parent"' in data:
        # Which may lie where the rule sees nothing.
        data = to_json({name: fact for name, fact in _data(data).items() if name != "parent"})
    shown = None if task is None else _shown(task, event, rules, prompt=rule.wanted.include_prompt)
    return Payload(
        path=event.path,
        host=event.host,
        status=event.status,
        data=msgspec.Raw(data.encode()),
        run_id=event.run_id,
        task=shown,
    )


def _shown(task: Brief, event: Heard, rules: Rules, *, prompt: bool) -> NotifiedTask:
    """A task as it is told of: it stands as the event says."""
    parked = event.status == Status.PARKED
    return NotifiedTask(
        id=task.id,
        title=task.title,
        work_directory=task.path,
        host=task.host,
        kind=task.kind,
        status=event.status or task.status,
        priority=_PRIORITIES[task.priority],
        tags=_tags(task.tags),
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        links=links(rules.public_url, task_id=task.id),
        error=_error(task.error) if event.type in FAILURES or event.status == Status.FAILED else None,
        reason=task.reason and task.reason[:_LONGEST],
        question=task.question and task.question[:_LONGEST] if parked else None,
        options=_any(task.options) or [] if parked and task.options else [],
        prompt=task.prompt and task.prompt[:_LONGEST] if prompt else None,
    )


def _error(text: str | None) -> Any:
    if text is None:
        return None
    found = _any(text)
    if isinstance(found, dict):
        found = {name: value for name, value in found.items() if name in {"type", "message"}}
        found |= {name: value[:_LONGEST] for name, value in found.items() if isinstance(value, str)}
    return found


def links(public_url: str, *, task_id: int = 0, run_id: int | None = None) -> dict[str, str]:
    """Where people and programs find what a message is about."""
    base = public_url.rstrip("/")
    if not base:
        return {}
    if task_id:
        return {"page": f"{base}/tasks/{task_id}", "api": f"{base}/api/v1/tasks/{task_id}"}
    if run_id is not None:
        return {"page": f"{base}/runs/{run_id}", "api": f"{base}/api/v1/runs/{run_id}"}
    return {"page": f"{base}/"}
