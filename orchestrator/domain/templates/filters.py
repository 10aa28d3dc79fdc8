"""The filters that templates have: Jinja2's, of JSON values, and none that makes more than it was paid for."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

import msgspec

from orchestrator.domain.templates.budget import DEEPEST, ITEM, LARGEST, Budget, TemplateError
from orchestrator.domain.templates.predicates import TESTS

Filter = Callable[..., Any]
MISSING: Final = object()
"""What is not there, where that is no error."""
_WORDS: Final = re.compile(r"([-\s({\[<]+)")
_LONGEST_ESCAPED: Final = 12
_MOST_SPACES: Final = 8
_encoder = msgspec.json.Encoder()


def text(budget: Budget, value: Any) -> str:
    """A value in a text: text as it is, nothing for null, else JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return to_json(budget, value)


def to_json(budget: Budget, value: Any, indent: int | None = None) -> str:
    """A value as JSON, in one line or with `indent` spaces for each level."""
    size = budget.weigh(value)
    try:
        written = _encoder.encode(value)
    except (OverflowError, TypeError, ValueError):
        raise TemplateError("has a value that JSON has no form for") from None
    if indent is not None:
        if not 0 <= indent <= _MOST_SPACES:
            raise TemplateError(f"has an indent of {indent}: use 0 to {_MOST_SPACES}")
        budget.charge(size // ITEM * indent * min(DEEPEST, size // ITEM))
        written = msgspec.json.format(written, indent=indent)
    return written.decode()


def attribute(value: Any, path: str | int) -> Any:
    """What is at a path such as `user.name` in an object or a list, or MISSING."""
    for name in str(path).split("."):
        value = member(value, int(name) if name.isdecimal() and isinstance(value, list) else name)
        if value is MISSING:
            return MISSING
    return value


def member(value: Any, name: Any) -> Any:
    """One field of an object, or one item of a list or a text, or MISSING."""
    if isinstance(value, dict):
        return value.get(name, MISSING) if isinstance(name, str) else MISSING
    if isinstance(value, (list, str)) and isinstance(name, int) and -len(value) <= name < len(value):
        return value[name]
    return MISSING


def items(budget: Budget, value: Any) -> list[Any]:
    """The items of a list, the names of an object's fields, the characters of a text."""
    if not isinstance(value, (list, dict, str)):
        raise TemplateError(f"needs a list where it has {kind(value)}")
    budget.items(len(value))
    return list(value)


def kind(value: Any) -> str:
    """What a value is, for messages."""
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "nothing")


def _string(budget: Budget, value: Any) -> str:
    made = text(budget, value)
    budget.charge(len(made))
    return made


def _of_text(change: Callable[[str], str]) -> Filter:
    return lambda budget, value: change(_string(budget, value))


def _title(value: str) -> str:
    return "".join(word[0].upper() + word[1:].lower() for word in _WORDS.split(value) if word)


def _trim(budget: Budget, value: Any, chars: str | None = None) -> str:
    return _string(budget, value).strip(chars)


def _replace(budget: Budget, value: Any, old: str, new: str, count: int | None = None) -> str:
    source = _string(budget, value)
    found = source.count(old)
    times = found if count is None or count < 0 else min(count, found)
    budget.charge(times * len(new))
    return source.replace(old, new, times)


def _truncate(
    budget: Budget,
    value: Any,
    length: int = 255,
    killwords: bool = False,  # noqa: FBT001, FBT002  Jinja2's
    end: str = "...",
    leeway: int = 5,
) -> str:
    source = text(budget, value)
    if length < len(end) or leeway < 0:
        raise TemplateError(f"truncates to {length}: use a length that has room for {end!r}")
    if len(source) <= length + leeway:
        return source
    cut = source[: length - len(end)]
    budget.charge(len(cut))
    return (cut if killwords else cut.rsplit(" ", 1)[0]) + end


def _join(budget: Budget, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    parts = [text(budget, one) for one in _attributes(items(budget, value), attribute)]
    budget.charge(sum(map(len, parts)) + len(text(budget, d)) * len(parts))
    return text(budget, d).join(parts)


def _length(_: Budget, value: Any) -> int:
    if not isinstance(value, (list, dict, str)):
        raise TemplateError(f"asks for the length of {kind(value)}")
    return len(value)


def _first(_: Budget, value: Any) -> Any:
    return member(list(value)[:1] if isinstance(value, dict) else value, 0)


def _last(_: Budget, value: Any) -> Any:
    return member(list(value)[-1:] if isinstance(value, dict) else value, -1)


def _int(_: Budget, value: Any, default: int = 0, base: int = 10) -> int:
    try:
        made = int(value, base) if isinstance(value, str) else int(value)
    except (TypeError, ValueError, OverflowError):
        try:
            made = int(float(value))
        except (TypeError, ValueError, OverflowError):
            return default
    return made if abs(made) <= LARGEST else default


def _float(_: Budget, value: Any, default: float = 0.0) -> float:
    try:
        made = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return made if math.isfinite(made) else default


def _round(_: Budget, value: float, precision: int = 0, method: str = "common") -> float:
    if method not in {"common", "ceil", "floor"} or not -15 <= precision <= 15:
        raise TemplateError("rounds in a way that there is not: use common, ceil or floor, and -15 to 15 digits")
    if method == "common":
        return round(value, precision)
    return float((math.ceil if method == "ceil" else math.floor)(value * 10.0**precision) / 10.0**precision)


def _attributes(values: Iterable[Any], path: str | int | None, default: Any = MISSING) -> list[Any]:
    if path is None:
        return list(values)
    found = []
    for value in values:
        one = attribute(value, path)
        if one is MISSING:
            if default is MISSING:
                raise TemplateError(f"asks for {path!r} of {kind(value)} that has no such field")
            one = default
        found.append(one)
    return found


def _map(
    budget: Budget, value: Any, name: str | None = None, attribute: str | int | None = None, default: Any = MISSING
) -> list[Any]:
    listed = items(budget, value)
    if attribute is not None:
        return _attributes(listed, attribute, default)
    if name not in _MAPPED:
        raise TemplateError(f"maps with {name!r}: use `map(attribute=...)` or one of {', '.join(sorted(_MAPPED))}")
    return [FILTERS[name](budget, one) for one in listed]


def _comparable(budget: Budget, path: str | int | None, case_sensitive: bool) -> Callable[[Any], Any]:  # noqa: FBT001  Jinja2's
    def key(value: Any) -> Any:
        compared = _attributes([value], path)[0]
        if isinstance(compared, (list, dict)):
            raise TemplateError(f"compares {kind(compared)}: name a field of it with `attribute=`")
        if isinstance(compared, str):
            budget.charge(len(compared))
            return compared if case_sensitive else compared.lower()
        return compared

    return key


def _sort(
    budget: Budget,
    value: Any,
    reverse: bool = False,  # noqa: FBT001, FBT002  Jinja2's
    case_sensitive: bool = False,  # noqa: FBT001, FBT002  Jinja2's
    attribute: str | int | None = None,
) -> list[Any]:
    return sorted(items(budget, value), key=_comparable(budget, attribute, case_sensitive), reverse=reverse)


def _unique(
    budget: Budget,
    value: Any,
    case_sensitive: bool = False,  # noqa: FBT001, FBT002  Jinja2's
    attribute: str | int | None = None,
) -> list[Any]:
    key, found = _comparable(budget, attribute, case_sensitive), dict[Any, Any]()
    for one in items(budget, value):
        found.setdefault(key(one), one)
    return list(found.values())


def _extreme(choose: Callable[..., Any]) -> Filter:
    def chosen(budget: Budget, value: Any, case_sensitive: bool = False, attribute: str | int | None = None) -> Any:  # noqa: FBT001, FBT002  Jinja2's
        return choose(items(budget, value), key=_comparable(budget, attribute, case_sensitive), default=MISSING)

    return chosen


def _sum(budget: Budget, value: Any, attribute: str | int | None = None, start: float = 0) -> float:
    listed = _attributes(items(budget, value), attribute)
    if wrong := [one for one in [*listed, start] if not isinstance(one, (int, float))]:
        raise TemplateError(f"adds up {kind(wrong[0])}: only numbers have a sum")
    made = sum(listed, start)
    if not abs(made) <= LARGEST:
        raise TemplateError("has a sum that is out of range: a number of 64 bits at the most")
    return made


def _chosen(*, keep: bool, by_attribute: bool) -> Filter:
    def choose(budget: Budget, value: Any, *arguments: Any) -> list[Any]:
        path, rest = (arguments[0], arguments[1:]) if by_attribute else (None, arguments)
        name, given = (rest[0], rest[1:]) if rest else (None, ())
        if name is not None and name not in TESTS:
            raise TemplateError(f"has the test `{name}`, which there is not; there are {', '.join(sorted(TESTS))}")
        return [
            one
            for one in items(budget, value)
            if _passes(budget, one if path is None else attribute(one, path), name, given) is keep
        ]

    return choose


def _passes(budget: Budget, value: Any, name: str | None, given: tuple[Any, ...]) -> bool:
    if name is None:
        return value is not MISSING and bool(value)
    if name in {"defined", "undefined"}:
        return (value is MISSING) is (name == "undefined")
    return value is not MISSING and bool(TESTS[name](budget, value, *given))


def _reverse(budget: Budget, value: Any) -> Any:
    listed = items(budget, value)[::-1]
    return "".join(listed) if isinstance(value, str) else listed


def _items(budget: Budget, value: dict[str, Any]) -> list[Any]:
    budget.items(2 * _length(budget, value))
    return [list(pair) for pair in value.items()]


def _urlencode(budget: Budget, value: Any) -> str:
    source = text(budget, value)
    budget.charge(_LONGEST_ESCAPED * len(source))
    return quote(source)


_MAPPED: Final = frozenset(
    {"capitalize", "float", "first", "int", "last", "length", "lower", "string", "title", "tojson", "trim", "upper"}
)
FILTERS: Final[Mapping[str, Filter]] = MappingProxyType({
    "abs": lambda _, value: abs(value),
    "capitalize": _of_text(str.capitalize),
    "count": _length,
    "d": lambda _, value, *__: value,
    "default": lambda _, value, *__: value,
    "first": _first,
    "float": _float,
    "int": _int,
    "items": _items,
    "join": _join,
    "last": _last,
    "length": _length,
    "list": items,
    "lower": _of_text(str.lower),
    "map": _map,
    "max": _extreme(max),
    "min": _extreme(min),
    "reject": _chosen(keep=False, by_attribute=False),
    "rejectattr": _chosen(keep=False, by_attribute=True),
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "select": _chosen(keep=True, by_attribute=False),
    "selectattr": _chosen(keep=True, by_attribute=True),
    "sort": _sort,
    "string": _string,
    "sum": _sum,
    "title": _of_text(_title),
    "tojson": to_json,
    "trim": _trim,
    "truncate": _truncate,
    "unique": _unique,
    "upper": _of_text(str.upper),
    "urlencode": _urlencode,
})  # fmt: skip
