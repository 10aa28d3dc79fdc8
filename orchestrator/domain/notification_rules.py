"""Rules of notifications are made, changed and deleted."""

from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from orchestrator.domain import notification_operations as ops
from orchestrator.domain.holders import patterns
from orchestrator.domain.moves import to_json
from orchestrator.domain.notification_outcomes import Ruled
from orchestrator.domain.notification_records import Definition, NotificationRule, definition_of
from orchestrator.domain.outcomes import Decision, Done, Noted
from orchestrator.domain.principal import PathScope, Principal
from orchestrator.domain.records import Dropped, Kept
from orchestrator.domain.rules import Rules
from orchestrator.domain.world import World
from worker_client.errors import Conflict, Forbidden, NotFound, ValidationFailed

PREFIX: Final = "notification."
"""Of the events that tell of rules."""
FAILURES: Final = ("task.failed", "task.expired")
"""The events of attempts that failed."""
_TARGETS: Final = ("webhook", "email", "slack")


def add(op: ops.AddRule, by: Principal, world: World, _rules: Rules) -> Decision:
    """Make a rule."""
    _check(definition_of(op.definition), by.paths)
    _check_name(op.name, by.paths.key, world)
    seen = patterns(by.paths)
    rule = NotificationRule(
        id=world.records.new_id(NotificationRule),
        version=1,
        scope=by.paths.key,
        name=op.name,
        paths=None if seen is None else to_json(seen),
        owner=by.id,
        enabled=op.enabled,
        disabled_reason=None,
        definition=op.definition,
        from_event=world.source.last_event(),
        begins_at=world.now,
        managed_by=op.managed_by,
        created_at=world.now,
        updated_at=world.now,
    )
    return Decision(Ruled(rule), [Kept(rule, fresh=True), told("rule_created", rule)])


def change(op: ops.ChangeRule, by: Principal, world: World, _rules: Rules) -> Decision:
    """Change a rule; one that is turned on again hears of what happens from now on."""
    before = visible(op.rule_id, by, world)
    for known in (op.version, op.base):
        if known is not None and known != before.version:
            raise Conflict(
                f"notification rule {before.id} is at version {before.version}, not {known}: read it again and repeat the change",
                field="version",
                version=before.version,
            )
    _check(definition_of(op.definition), before.reach)
    facts: dict[str, Any] = {"definition": op.definition}
    if op.name is not UNSET and op.name != before.name:
        _check_name(op.name, before.scope, world)
        facts["name"] = op.name
    if op.enabled is not UNSET and op.enabled != before.enabled:
        facts |= {"enabled": op.enabled, "disabled_reason": None}
        if op.enabled:
            facts |= {"from_event": world.source.last_event(), "begins_at": world.now}
    changed = sorted(name for name, value in facts.items() if getattr(before, name) != value)
    after = replace(before, version=before.version + 1, updated_at=world.now, **facts)
    return Decision(Ruled(after), [Kept(after), told("rule_changed", after, fields=changed)])


def delete(op: ops.DeleteRule, by: Principal, world: World, _rules: Rules) -> Decision:
    """Remove a rule, with what it was told."""
    rule = visible(op.rule_id, by, world)
    return Decision(Done(1), [Dropped(rule), told("rule_deleted", rule)])


def visible(rule_id: int, by: Principal, world: World) -> NotificationRule:
    """The rule, or NotFound when there is none or who asks does not see all of its directories."""
    rule = world.records.get(NotificationRule, rule_id)
    if rule is None or not rule.reach.within(by.paths):
        raise NotFound(f"there is no notification rule {rule_id}", rule_id=rule_id)
    return rule


def told(kind: str, rule: NotificationRule, **facts: Any) -> Noted:
    """An event of the feed about a rule."""
    return Noted(f"{PREFIX}{kind}", to_json({"rule_id": rule.id, "name": rule.name, **facts}))


def matches(pattern: str, kind: str) -> bool:
    """Whether a pattern of a rule stands for a type of event."""
    return kind.startswith(pattern[:-1]) if pattern.endswith("*") else kind == pattern


def _check(wanted: Definition, visible: PathScope) -> None:
    """Refuse what does not go together, or lies elsewhere. Raises ValidationFailed, Forbidden."""
    named = [name for name in _TARGETS if getattr(wanted, name) is not None]
    if len(named) != 1:
        said = f"`{'`, `'.join(named)}` are there" if named else "none is there"
        raise ValidationFailed(f"a rule has one of `webhook`, `email` and `slack`, and {said}: send one", field="webhook")
    if not wanted.events and wanted.failed_times is None and wanted.waiting_seconds is None:
        raise ValidationFailed(
            "a rule with no `events`, `failed_times` or `waiting_seconds` would never tell of anything: send one of them",
            field="events",
        )
    if wanted.failed_times is not None and wanted.events:
        failures = any(matches(pattern, kind) for pattern in wanted.events for kind in FAILURES)
        if not failures:
            raise ValidationFailed(
                "`failed_times` is about task.failed and task.expired, of which `events` has none: leave one of the two out",
                field="failed_times",
            )
    elsewhere = None if wanted.places is None else next((one for one in _each(wanted) if not one.within(visible)), None)
    if elsewhere is not None:
        shown = ", ".join(map(str, elsewhere.patterns or ()))
        raise Forbidden(f"`work_path` {shown} is not within the directories of this rule's key", field="work_path")


def _each(wanted: Definition) -> list[PathScope]:
    places = wanted.places
    return [PathScope((one,)) for one in (places.patterns if places is not None else None) or ()]


def _check_name(name: str, scope: str, world: World) -> None:
    """Names are unique for those who see the same directories."""
    found = world.records.find(
        NotificationRule, "rules_named", scope, name, such=lambda one: (one.scope, one.name) == (scope, name)
    )
    if found:
        raise Conflict(
            f"notification rule {found[0].id} has the name {name!r} already: use another, or change that one",
            field="name",
            rule_id=found[0].id,
        )
