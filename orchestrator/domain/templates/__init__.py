"""Templates: texts with Jinja2's expressions, filters and conditions, which end and reach only what they are given.

Its parser is loaded when the first template comes: what has neither `{{`, `{%` nor `{#` is none.
"""

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final, NamedTuple

from orchestrator.domain.defusing import defused
from orchestrator.domain.templates.budget import DEEPEST, OUTPUT, TOO_DEEP, WORK, TemplateError
from orchestrator.domain.templates.budget import Budget as Budget
from worker_client.contract.fields import JsonObject
from worker_client.errors import ValidationFailed

Values = Mapping[str, Any]
_SIGNS: Final = ("{{", "{%", "{#")
_TEXTS: Final = frozenset({
    "command", "description", "environment", "host", "key", "kind", "prompt", "title", "work_directory",
})  # fmt: skip
"""Fields of a task that hold texts, where also a single expression makes one."""
_LISTS: Final = frozenset({"tags"})
"""Those that hold lists of texts."""
_MOST_SHOWN: Final = 200
_LONGEST: Final = 1_000
"""Of a message, which may tell what is in a value."""


def is_template(text: str) -> bool:
    """Whether a text has anything for a template in it."""
    return any(sign in text for sign in _SIGNS)


def check(text: str, names: Collection[str], field: str, *, expression: bool = False) -> frozenset[str]:
    """The names that a template uses, of `names`, which may also be of parts, as `steps.build`; then no other part may be used.

    `expression`: it is one, with or without its braces. Raises ValidationFailed.
    """
    with _naming(field):
        return _checked(text, names, Budget(), expression=expression)


def check_body(body: JsonObject, names: Collection[str], field: str) -> frozenset[str]:
    """`check` for each text within a body. Raises ValidationFailed."""
    budget, used = Budget(), set[str]()

    def look(text: str) -> str:
        used.update(_checked(text, names, budget))
        return text

    _each(body, field, _Makers(look, look))
    return frozenset(used)


def render(text: str, values: Values, field: str = "", budget: Budget | None = None) -> str:
    """The text that a template comes to. Raises ValidationFailed. `budget`: that of several together."""
    with _naming(field):
        return _text(text, values, budget or Budget())


def value(text: str, values: Values, field: str = "", budget: Budget | None = None) -> Any:
    """What a template comes to: of a single expression `{{ x }}` its value, else a text. Raises ValidationFailed.

    `budget`: that of several together.
    """
    with _naming(field):
        return _value(text, values, budget or Budget())


def evaluate(text: str, values: Values, field: str = "") -> Any:
    """The value of an expression, with or without its braces. Raises ValidationFailed."""
    budget = Budget()
    with _naming(field):
        return _settled(_evaluated(text, values, budget), budget)


def condition(text: str, values: Values, field: str = "") -> bool:
    """Whether an expression, with or without its braces, is true. Raises ValidationFailed."""
    with _naming(field):
        return bool(_evaluated(text, values, Budget()))


def render_body(body: JsonObject, values: Values, field: str = "", budget: Budget | None = None) -> JsonObject:
    """A task's body with what its templates come to; names of fields are none. Raises ValidationFailed.

    `budget`: that of several bodies together.
    """
    budget = budget or Budget()
    makers = _Makers(lambda text: _text(text, values, budget), lambda text: _value(text, values, budget))
    made: JsonObject = _each(body, field, makers)
    return made


def budget_of_many() -> Budget:
    """For the bodies of up to a thousand tasks together."""
    return Budget(work=2 * WORK, output=32 * OUTPUT)


class _Makers(NamedTuple):
    """What is made of a template where only a text can stand, and where any value can."""

    text: Callable[[str], Any]
    value: Callable[[str], Any]


@contextmanager
def _naming(field: str) -> Iterator[None]:
    try:
        yield
    except TemplateError as error:
        what = f"`{field}`" if field else "the template"
        raise ValidationFailed(f"{what} {str(error)[:_LONGEST]}", field=field) from None
    except RecursionError:
        raise ValidationFailed(f"`{field}` {TOO_DEEP}", field=field) from None


def _checked(text: str, names: Collection[str], budget: Budget, *, expression: bool = False) -> frozenset[str]:
    if not expression and not is_template(text):
        return frozenset()
    language = _module("language")
    tree = (language.parsed_expression if expression else language.parsed)(text, budget)
    used: frozenset[str] = _module("naming").used(tree, names)
    return used


def _text(text: str, values: Values, budget: Budget) -> str:
    if not is_template(text):
        return text
    made: str = _evaluation(values, budget).text(_module("language").parsed(text, budget))
    return made


def _value(text: str, values: Values, budget: Budget) -> Any:
    if not is_template(text):
        return text
    language = _module("language")
    expression = language.single(language.parsed(text, budget))
    if expression is None or language.secret(expression) is not None:
        return _text(text, values, budget)
    return _settled(_evaluation(values, budget).value(expression), budget)


def _evaluated(text: str, values: Values, budget: Budget) -> Any:
    return _evaluation(values, budget).value(_module("language").parsed_expression(text, budget))


def _settled(made: Any, budget: Budget) -> Any:
    budget.put_out(budget.weigh(made))
    return defused(made)


def _evaluation(values: Values, budget: Budget) -> Any:
    return _module("evaluation").Evaluation(values, budget)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def _each(body: Any, field: str, makers: _Makers, depth: int = 0) -> Any:
    if isinstance(body, str):
        with _naming(field):
            return makers.value(body)
    if depth > DEEPEST:
        raise ValidationFailed(f"`{field[:_MOST_SHOWN]}` {TOO_DEEP}", field=field[:_MOST_SHOWN])
    if isinstance(body, dict):
        return {
            name: _each(inner, f"{field}.{name}" if field else name, _makers(name, inner, makers, depth), depth + 1)
            for name, inner in body.items()
        }
    if isinstance(body, list):
        return [_each(inner, f"{field}[{place}]", makers, depth + 1) for place, inner in enumerate(body)]
    return body


def _makers(name: str, inner: Any, makers: _Makers, depth: int) -> _Makers:
    only_text = depth == 0 and (name in _TEXTS or (name in _LISTS and isinstance(inner, list)))
    return _Makers(makers.text, makers.text) if only_text else makers
