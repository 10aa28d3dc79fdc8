"""The body of a call as what templates see."""

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from orchestrator.domain.explain import nul
from orchestrator.triggers.web import Incoming
from worker_client.contract.fields import JsonObject
from worker_client.errors import PayloadTooLarge, ValidationFailed

FORM: Final = "application/x-www-form-urlencoded"
_FIELDS: Final = 1000
_WIDEST: Final = 500_000
_BETWEEN: Final = (b",", b"[", b"{")


def media_type(incoming: Incoming) -> str:
    """What a body is said to be, in lower case; empty when nothing is said."""
    return (incoming.header("content-type") or "").partition(";")[0].strip().lower()


def is_json(media: str) -> bool:
    """Whether a media type is JSON."""
    return media == "application/json" or media.endswith("+json")


def fields(incoming: Incoming) -> JsonObject:
    """What the body says, by name: of an object its fields, of a form too; anything else is `body`, and nothing is the query.

    Raises ValidationFailed for a body that is not what it is said to be.
    """
    if not incoming.raw:
        return dict(incoming.query)
    media = media_type(incoming)
    if media == FORM:
        return form(incoming.raw)
    if is_json(media):
        return _object(decoded(incoming.raw))
    if not media:
        try:
            return _object(decoded(incoming.raw))
        except ValidationFailed:
            return {"body": text(incoming.raw)}
    return {"body": text(incoming.raw)}


def decoded(raw: bytes) -> Any:
    """A body that is JSON. Raises ValidationFailed, PayloadTooLarge."""
    if sum(map(raw.count, _BETWEEN)) > _WIDEST:
        told = f"the body has more than the {_WIDEST} commas, brackets and braces that are allowed: send less at once"
        raise PayloadTooLarge(told, limit=_WIDEST)
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ValidationFailed(f"the body is not JSON: {why}", field="") from None
    if b"\\u0000" in raw and (field := nul(found)) is not None:
        raise ValidationFailed(f"`{field}` contains a NUL byte: leave it out", field=field)
    return found


def form(raw: bytes) -> JsonObject:
    """A body that is a form; a name that repeats has all its values."""
    found: JsonObject = {}
    try:
        pairs = parse_qsl(text(raw), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
    except ValueError:
        told = f"the form cannot be read: send at most {_FIELDS} fields, in UTF-8"
        raise ValidationFailed(told, field="") from None
    for name, value in pairs:
        _checked(name + value)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def text(raw: bytes) -> str:
    """A body that is text. Raises ValidationFailed."""
    try:
        return _checked(raw.decode())
    except UnicodeDecodeError:
        raise ValidationFailed("the body is not UTF-8: send text, JSON or a form", field="") from None


def _checked(found: str) -> str:
    if "\0" in found:
        raise ValidationFailed("the body contains a NUL byte: leave it out", field="")
    return found


def _object(found: Any) -> JsonObject:
    return found if isinstance(found, dict) else {"body": found}
