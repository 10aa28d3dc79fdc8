"""Who may come in: keys, their sessions, addresses; and what the audit trail tells about the server itself."""

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.credential import Credential
from orchestrator.domain.moves import to_json
from orchestrator.domain.outcomes import (
    AddressListed,
    Change,
    CredentialSaved,
    Decision,
    Done,
    Freed,
    Keyed,
    KeysUsed,
    Noted,
)
from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis
from orchestrator.domain.world import World
from worker_client.contract.enums import Scope
from worker_client.errors import Conflict, Forbidden, NotFound, ValidationFailed

_TOLD = ("id", "name", "scopes", "paths", "secrets", "rate", "expires_at")
"""What the feed tells of a new key."""
_SESSIONS = 20
"""Of one key at the same time: whoever signs in once more ends the oldest."""


def issue_key(op: ops.IssueKey, by: Principal, world: World, _rules: Rules) -> Decision:
    """Make a key that can do no more than who makes it."""
    key = replace(op.credential, parent=None, created_at=world.now, created_by=by.id, disabled=False, revoked_at=None)
    _check_name(key.name, by, world)
    _check_expiry(key.expires_at, world)
    if not key.reach.within(by.paths):
        raise Forbidden(
            "this key may only make keys for directories that it sees itself: send `paths` within them", field="paths"
        )
    _check_secrets(key.secrets, by)
    noted = _noted("key.created", **{name: getattr(key, name) for name in _TOLD})
    return Decision(Keyed(key), [CredentialSaved(key, fresh=True), noted])


def open_session(op: ops.OpenSession, by: Principal, world: World, _rules: Rules) -> Decision:
    """Make a session that can do what who asks can, for no longer than the key that it stands for."""
    parent = world.credential(by.id)
    if parent is not None and (parent.revoked_at is not None or parent.disabled):
        raise Forbidden("this key can no longer be used", id=parent.id)
    ends = [one.expires_at for one in (op.credential, parent) if one is not None and one.expires_at is not None]
    session = replace(
        op.credential,
        scopes=tuple(sorted(by.scopes)),
        paths=None if by.paths.patterns is None else tuple(map(str, by.paths.patterns)),
        secrets=("*",) if by.secrets is None else tuple(sorted(by.secrets)),
        rate=None if parent is None else parent.rate,
        parent=by.id,
        created_at=world.now,
        created_by=by.id,
        expires_at=min(ends, default=None),
        disabled=False,
        revoked_at=None,
    )
    _check_expiry(session.expires_at, world)
    before = sorted(world.sessions(by.id), key=lambda one: one.created_at)
    changes: list[Change] = [CredentialSaved(replace(one, revoked_at=world.now), fresh=False) for one in before[: 1 - _SESSIONS]]
    changes.append(CredentialSaved(session, fresh=True))
    changes.append(_noted("session.opened", id=session.id, name=session.name, parent=by.id, expires_at=session.expires_at))
    return Decision(Keyed(session), changes)


def change_key(op: ops.ChangeKey, by: Principal, world: World, _rules: Rules) -> Decision:
    """Rename, disable, limit or extend a key."""
    key = _visible(op.id, by, world)
    if key.parent is not None:
        raise _missing(op.id)
    if key.revoked_at is not None:
        raise Conflict(f"the key {key.name!r} is revoked for good: make another one", id=key.id)
    names = ("name", "disabled", "secrets", "rate", "expires_at")
    facts: dict[str, Any] = {name: value for name in names if (value := getattr(op, name)) is not UNSET}
    if facts.get("name", key.name) != key.name:
        _check_name(facts["name"], by, world)
    _check_expiry(facts.get("expires_at"), world)
    _check_secrets(facts.get("secrets", ()), by)
    after = replace(key, **facts)
    changes: list[Change] = [
        CredentialSaved(after, fresh=False),
        _noted("key.changed", id=key.id, name=after.name, changes=facts),
    ]
    return Decision(Keyed(after), changes)


def revoke_key(op: ops.RevokeKey, by: Principal, world: World, _rules: Rules) -> Decision:
    """End a key with its sessions, or one session; everybody may end a session of their own."""
    key = world.credential(op.id)
    if key is None or key.parent != by.id:
        by.require(Scope.ADMIN)
        key = _visible(op.id, by, world)
    if key.revoked_at is not None:
        return Decision(Keyed(key))
    ended = [replace(one, revoked_at=world.now) for one in (key, *world.sessions(key.id))]
    changes: list[Change] = [CredentialSaved(one, fresh=False) for one in ended]
    changes.append(_noted("key.revoked", id=key.id, name=key.name, parent=key.parent))
    return Decision(Keyed(ended[0]), changes)


def use_keys(op: ops.UseKeys, _by: Principal, _world: World, _rules: Rules) -> Decision:
    """Remember when keys were last used; the feed is not told."""
    return Decision(Done(len(op.uses)), [KeysUsed(op.uses)])


def set_address(op: ops.SetAddress, by: Principal, world: World, _rules: Rules) -> Decision:
    """Put an address on a list or take it off; `count` is 0 when it was not on it."""
    _everywhere(by)
    entry = replace(op.entry, created_at=world.now, created_by=by.id)
    if not op.listed and not world.listed(entry.list, entry.network):
        return Decision(Done())
    kind = "address.added" if op.listed else "address.removed"
    noted = _noted(kind, list=entry.list, network=entry.network, note=entry.note or None)
    return Decision(Done(1), [AddressListed(entry, op.listed), noted])


def note(op: ops.Note, by: Principal, _world: World, _rules: Rules) -> Decision:
    """Tell what was done to the server; whatever was kept back until now may not be any more."""
    _everywhere(by)
    return Decision(Done(1), [Noted(op.type, op.data)], wakes=[Freed(None)])


def _everywhere(by: Principal) -> None:
    if not by.administers:
        raise Forbidden("this key is limited to some directories, and this concerns the whole server: ask with one that is not")


def _visible(id: str, by: Principal, world: World) -> Credential:
    """The key, or NotFound when there is none or it reaches where who asks can't see."""
    key = world.credential(id)
    if key is None or not key.reach.within(by.paths):
        raise _missing(id)
    return key


def _missing(id: str) -> NotFound:
    return NotFound(f"there is no key {id}", id=id)


def _check_name(name: str, by: Principal, world: World) -> None:
    # That there is one elsewhere is not for who asks to know.
    if any(key.reach.within(by.paths) for key in world.credentials_named(name)):
        raise Conflict(f"there is a key named {name!r} already: choose another name, or revoke that one", field="name")


def _check_expiry(expires_at: Millis | None, world: World) -> None:
    if expires_at is not None and expires_at <= world.now:
        raise ValidationFailed("`expires_at` is in the past: send a time to come, or none", field="expires_at")


def _check_secrets(names: tuple[str, ...], by: Principal) -> None:
    """Nobody gives away what is not theirs; `*` is every secret, of which only who has all has it."""
    if refused := [name for name in names if not by.may_use(name)]:
        raise Forbidden(f"this key may not use the secret {refused[0]} itself, so it cannot allow it", field="secrets")


def _noted(kind: str, **facts: Any) -> Noted:
    return Noted(kind, to_json({name: value for name, value in facts.items() if value is not None}))
