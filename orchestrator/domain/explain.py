"""What msgspec found wrong, said to the person who sent it: which field, what was sent, what is expected."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET, Struct, inspect

from worker_client.errors import ValidationFailed

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?:key` in `)?\$(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(.*)`$")
_TYPES = re.compile(r"\b(str|int|float|bool)\b(?=[^'`]*`)")
_JSON_WORDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_TOO_LARGE = "Number out of range"
_NONE_OF = "Invalid enum value"
_SHOWN = 100
A_TIME = "an RFC 3339 time with an offset, for example 2030-01-31T18:00:00Z"


def invalid(
    error: msgspec.ValidationError, of: type[Struct], sent: Any, *, within: str = "", query: bool = False
) -> ValidationFailed:
    """The refusal for `sent` (as decoded without a type; UNSET when that is not possible), which is no `of`.

    `within`: the field that it is the value of. `query`: it is a query string, whose parameters repeat without a place.
    """
    found = _AT.match(str(error))
    what, path = (found["what"], found["path"] or "") if found else (str(error), "")
    steps = [name or index for name, index in _STEP.findall(path)]
    field = _join(within, path.replace("[...]", "").removeprefix("."))
    if query:
        field = field.partition("[")[0]
    if unknown := _UNKNOWN.match(what):
        return not_a_field(_join(field, unknown[1]), unknown[1], _names(_at(inspect.type_info(of), steps)))
    if missing := _MISSING.match(what):
        field = _join(field, missing[1])
        return ValidationFailed(f"`{field}` is missing: send it", field=field)
    kinds = _at(inspect.type_info(of), steps)
    whole = "the body" if not field else f"`{field}`"
    if what == _TOO_LARGE:
        is_what = "has a number that is out of range"
    else:
        is_what = "cannot be used" if sent is UNSET else f"is {_show(_value(sent, steps))}"
    return ValidationFailed(f"{whole} {is_what}: expected {_expected(what, kinds)}", field=field)


def not_a_field(field: str, name: str, known: Iterable[str]) -> ValidationFailed:
    """The refusal for something that the contract does not have."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known)}" if known else "nothing is expected here"
    return ValidationFailed(f"`{field[:_SHOWN]}` is not known here; {hint}", field=field[:_SHOWN])


def nul(sent: Any, field: str = "") -> str | None:
    """The path of the first text within `sent` that has a NUL byte, if any; a key is named by its object."""
    if isinstance(sent, str):
        return field if "\0" in sent else None
    if isinstance(sent, dict):
        if any("\0" in key for key in sent):
            return field
        return next((at for key, value in sent.items() if (at := nul(value, _join(field, key))) is not None), None)
    if isinstance(sent, list):
        return next((at for place, value in enumerate(sent) if (at := nul(value, f"{field}[{place}]")) is not None), None)
    return None


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field and name else field or name


def _expected(what: str, kinds: list[inspect.Type]) -> str:
    if allowed := _values(kinds) or (_literals(kinds) if what.startswith(_NONE_OF) else []):
        return f"one of {', '.join(allowed)}"
    if any(isinstance(kind, inspect.DateTimeType) for kind in kinds):
        return A_TIME
    if what == _TOO_LARGE:
        return _bounds(kinds)
    return (_described(kinds) if "regex" in what else None) or _plain(what)


def _bounds(kinds: list[inspect.Type]) -> str:
    numbers = (kind for kind in kinds if isinstance(kind, inspect.IntType | inspect.FloatType))
    bounds = ((kind.ge, kind.le) for kind in numbers if kind.ge is not None and kind.le is not None)
    return next((f"a number from {low} to {high}" for low, high in bounds), "a number of 64 bits at the most")


def _described(kinds: list[inspect.Type]) -> str | None:
    """What the contract says in words of a type that it checks by a pattern."""
    facts = (kind.extra_json_schema or {} for kind in kinds if isinstance(kind, inspect.Metadata))
    return next((fact["description"] for fact in facts if "description" in fact), None)


def _plain(what: str) -> str:
    said = _TYPES.sub(lambda word: _JSON_WORDS[word[1]], what.removeprefix("Expected ")).replace("`", "")
    return said[:1].lower() + said[1:]


def _at(kind: inspect.Type, steps: list[str]) -> list[inspect.Type]:
    """All types that a value at this place of a body may have."""
    kinds = alternatives(kind)
    for step in steps:
        kinds = [inner for outer in kinds for inner in alternatives(_below(outer, step))]
    return kinds


def alternatives(kind: inspect.Type | None) -> list[inspect.Type]:
    """The types that a type consists of, also below what the contract says of them."""
    if isinstance(kind, inspect.UnionType):
        return [inner for outer in kind.types for inner in alternatives(outer)]
    if isinstance(kind, inspect.Metadata):
        return [kind, *alternatives(kind.type)]
    return [] if kind is None else [kind]


def _below(kind: inspect.Type, step: str) -> inspect.Type | None:
    if isinstance(kind, inspect.StructType):
        return next((field.type for field in kind.fields if field.encode_name == step), None)
    if isinstance(kind, inspect.ListType):
        return kind.item_type
    return kind.value_type if isinstance(kind, inspect.DictType) else None


def _names(kinds: list[inspect.Type]) -> list[str]:
    return [field.encode_name for kind in kinds if isinstance(kind, inspect.StructType) for field in kind.fields]


def _values(kinds: list[inspect.Type]) -> list[str]:
    return [str(value.value) for kind in kinds if isinstance(kind, inspect.EnumType) for value in kind.cls]


def _literals(kinds: list[inspect.Type]) -> list[str]:
    return [str(value) for kind in kinds if isinstance(kind, inspect.LiteralType) for value in kind.values]


def _value(sent: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(sent, dict) and step in sent:
            sent = sent[step]
        elif isinstance(sent, list) and step.isdecimal() and int(step) < len(sent):
            sent = sent[int(step)]
    return sent


def _show(value: Any) -> str:
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    shown = msgspec.json.encode(value).decode()
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}... ({len(shown)} characters)"
