"""The tests (`value is name`) that templates have: Jinja2's, of JSON values."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from orchestrator.domain.templates.budget import Budget

Test = Callable[..., Any]


def equal(budget: Budget, one: Any, other: Any) -> bool:
    """Whether two values are the same."""
    if isinstance(one, (str, list, dict)) and isinstance(other, type(one)):
        budget.weigh(one)
        budget.weigh(other)
    return bool(one == other)


def contains(budget: Budget, one: Any, holder: Any) -> bool:
    """Whether a text has a part, a list an item, or an object a field."""
    if isinstance(holder, str):
        budget.charge(len(holder))
    elif isinstance(holder, list):
        budget.weigh(holder)
        budget.items(len(holder))
    return one in holder


def compared(compare: Callable[[Any, Any], Any]) -> Test:
    """A comparison of order, of texts or numbers."""

    def comparison(budget: Budget, one: Any, other: Any) -> bool:
        if isinstance(one, (list, dict)) or isinstance(other, (list, dict)):
            raise TypeError("lists and objects have no order")
        if isinstance(one, str):
            budget.charge(len(one))
        return bool(compare(one, other))

    return comparison


def _differs(budget: Budget, one: Any, other: Any) -> bool:
    return not equal(budget, one, other)


def _of(*types: type) -> Test:
    return lambda _, value: isinstance(value, types)


LESS: Final = compared(lambda one, other: one < other)
NOT_MORE: Final = compared(lambda one, other: one <= other)
MORE: Final = compared(lambda one, other: one > other)
NOT_LESS: Final = compared(lambda one, other: one >= other)
TESTS: Final[Mapping[str, Test]] = MappingProxyType({
    "boolean": _of(bool),
    "defined": lambda *_: True,
    "divisibleby": lambda _, value, number: value % number == 0,
    "eq": equal,
    "equalto": equal,
    "even": lambda _, value: value % 2 == 0,
    "false": lambda _, value: value is False,
    "float": _of(float),
    "ge": NOT_LESS,
    "gt": MORE,
    "in": contains,
    "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
    "iterable": _of(list, dict, str),
    "le": NOT_MORE,
    "lt": LESS,
    "mapping": _of(dict),
    "ne": _differs,
    "none": lambda _, value: value is None,
    "number": _of(int, float),
    "odd": lambda _, value: value % 2 == 1,
    "sequence": _of(list, dict, str),
    "string": _of(str),
    "true": lambda _, value: value is True,
    "undefined": lambda *_: False,
})  # fmt: skip
