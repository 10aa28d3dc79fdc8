"""Query strings into the contract's Structs."""

import re
from enum import Enum, auto
from functools import cache
from typing import Any, TypeVar
from urllib.parse import unquote_plus

import msgspec
from msgspec import Struct, inspect

from orchestrator.domain.explain import A_TIME, alternatives, invalid, not_a_field
from orchestrator.http.scope import Asked
from worker_client.errors import ValidationFailed

S = TypeVar("S", bound=Struct)


class _Kind(Enum):
    LIST = auto()
    TEXT = auto()
    OTHER = auto()
    """msgspec would read null, in any case, as no value."""
    TIME = auto()
    """msgspec would read a number as seconds since 1970."""


_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def parse(request: Asked, of: type[S]) -> S:
    """The query string as an `of`: list fields repeat, everything else stands once.

    Raises ValidationFailed with the name of the parameter.
    """
    known = _parameters(of)
    sent: dict[str, Any] = {}
    for part in _decoded(request.scope["query_string"]).split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        name, value = _unquoted(name, name), _unquoted(value, name)
        kind = known.get(name)
        if kind is None:
            raise not_a_field(name, name, known)
        if kind is _Kind.LIST:
            sent.setdefault(name, []).append(value)
        elif kind is _Kind.OTHER and value.lower() == "null":
            raise ValidationFailed(f"`{name}` is null: leave it out", field=name)
        elif kind is _Kind.TIME and not _DATE.match(value):
            raise ValidationFailed(f"`{name}` is {value[:100]!r}: expected {A_TIME}", field=name)
        elif name in sent:
            raise ValidationFailed(f"`{name}` stands twice in the query: send it once", field=name)
        else:
            sent[name] = value
    try:
        return msgspec.convert(sent, of, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error, of, sent, query=True) from None


def nothing(request: Asked) -> None:
    """Refuse parameters where there are none."""
    if request.scope["query_string"]:
        parse(request, Nothing)


class Nothing(Struct, forbid_unknown_fields=True):
    """No parameters."""


def _decoded(query: bytes) -> str:
    try:
        return query.decode("ascii")
    except UnicodeDecodeError:
        raise ValidationFailed("the query has bytes that are not ASCII: percent-encode them", field="") from None


def _unquoted(text: str, name: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    try:
        text = unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise ValidationFailed(f"`{name}` is not valid UTF-8: percent-encode UTF-8", field=name) from None
    if "\0" in text:
        raise ValidationFailed(f"`{name}` contains a NUL byte: leave it out", field=name)
    return text


@cache
def _parameters(of: type[Struct]) -> dict[str, _Kind]:
    info = inspect.type_info(of)
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    return {field.encode_name: _kind(field.type) for field in fields}


def _kind(found: inspect.Type) -> _Kind:
    kinds = alternatives(found)
    if any(isinstance(one, inspect.ListType) for one in kinds):
        return _Kind.LIST
    if any(isinstance(one, inspect.DateTimeType) for one in kinds):
        return _Kind.TIME
    return _Kind.TEXT if any(isinstance(one, inspect.StrType) for one in kinds) else _Kind.OTHER
