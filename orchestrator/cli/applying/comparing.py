"""What differs between what is declared and what there is, field by field, and nothing secret."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from orchestrator.cli.applying.declared import KINDS, Declared
from orchestrator.domain import commands

MASK: Final = "***"
_SECRET: Final = ("secret", "password", "token", "private_key", "api_key", "authorization", "cookie", "slack")
_REFERENCE: Final = re.compile(r"\{\{\s*secrets\.\w+\s*\}\}")
_OWN: Final = frozenset({"name", "managed_by"})


class Field(Struct, frozen=True, kw_only=True):
    """A field that differs; None where there was or will be nothing."""

    field: str
    before: Any
    after: Any


def plain(kind: str, body: Any) -> dict[str, Any]:
    """A body as plain values, each field in the one way of writing it: without defaults, times in UTC."""
    shaped = body if isinstance(body, KINDS[kind]) else msgspec.convert(body, KINDS[kind])
    fields: dict[str, Any] = {name: getattr(shaped, name) for name in KINDS[kind].__struct_fields__ if name not in _OWN}
    written: dict[str, Any] = msgspec.to_builtins({name: _utc(value) for name, value in fields.items()})
    if kind == "command":
        written["body"] = commands.plain(written["body"])
    if kind == "workflow":
        written["triggers"] = [_trigger(one) for one in written["triggers"]]
    return written


def _utc(value: Any) -> Any:
    from datetime import UTC, datetime

    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _trigger(one: Any) -> Any:
    """The settings of a trigger without defaults; what is wrong in them is for the server to say."""
    from orchestrator.triggers import TYPES

    known = TYPES.get(str(one.get("type"))) if isinstance(one, dict) else None
    if known is None:
        return one
    try:
        return msgspec.to_builtins(msgspec.convert(one, known.settings))
    except msgspec.ValidationError:
        return one


def differing(declared: Declared, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The fields of `after` that are not as they are: those that the file leaves to whoever uses the server stay."""
    left = {"enabled"} - declared.given if declared.kind in {"schedule", "notification"} else set()
    return {name: value for name, value in after.items() if name not in left and not same(before.get(name), value)}


def same(before: Any, after: Any) -> bool:
    """Whether two plain values are the same; a secret that is shown as `***` is whatever it is said to be in clear."""
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(same(value, after[name]) for name, value in before.items())
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(same(*pair) for pair in zip(before, after, strict=True))
    return bool(before == after) or (before == MASK and isinstance(after, str) and not _names(after))


def fields(before: Any, after: Any, path: str = "", *, secret: bool = False) -> Iterator[Field]:
    """What differs, at the deepest place that both have."""
    if same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            hidden = secret or name == "environment" or any(word in name.lower() for word in _SECRET)
            yield from fields(before.get(name), after.get(name), f"{path}.{name}" if path else name, secret=hidden)
        return
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from fields(one, other, f"{path}[{place}]", secret=secret)
        return
    yield Field(field=path, before=_shown(before, secret=secret), after=_shown(after, secret=secret))


def _shown(value: Any, *, secret: bool) -> Any:
    """A value without what is secret; a reference to a secret is none."""
    if isinstance(value, dict):
        return {
            name: _shown(one, secret=secret or name == "environment" or any(word in name.lower() for word in _SECRET))
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_shown(one, secret=secret) for one in value]
    return MASK if secret and value and not _names(value) else value


def _names(value: Any) -> bool:
    """Whether a text is the name of a secret, which is none itself."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None
