"""What a template may say: Jinja2's parser reads it, and only expressions, filters and conditions from lists are let through."""

import difflib
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple

from jinja2 import Environment, TemplateSyntaxError, nodes

from orchestrator.domain.templates.budget import DEEPEST, LARGEST, TOKEN, Budget, TemplateError
from orchestrator.domain.templates.filters import FILTERS
from orchestrator.domain.templates.predicates import TESTS
from orchestrator.domain.texts import storable

MOST_TOKENS: Final = 10_000
_MOST_CACHED: Final = 2_000
SECRETS: Final = "secrets"
_ENVIRONMENT: Final = Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701  prompts are no HTML
_REFUSED: Final[Mapping[type[nodes.Node], str]] = MappingProxyType({
    nodes.For: "a loop (`for`)",
    nodes.Macro: "a macro",
    nodes.CallBlock: "a `call` block",
    nodes.FilterBlock: "a `filter` block",
    nodes.With: "a `with` block",
    nodes.Block: "a `block`",
    nodes.Extends: "`extends`",
    nodes.Include: "an `include`",
    nodes.Import: "an `import`",
    nodes.FromImport: "an `import`",
    nodes.Assign: "a `set`",
    nodes.AssignBlock: "a `set` block",
    nodes.Scope: "an `autoescape` block",
    nodes.Pow: "a power (`**`)",
})  # fmt: skip
_BY_ATTRIBUTE: Final = frozenset({"selectattr", "rejectattr"})
_PLAIN: Final = (
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.Keyword,
    nodes.Concat,
    nodes.CondExpr,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Compare,
    nodes.Operand,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Neg,
    nodes.Pos,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Slice,
)


class Parsed(NamedTuple):
    """A template as a tree of what is allowed, and how many words and signs it has."""

    tree: nodes.Template
    tokens: int


def parsed(text: str, budget: Budget) -> nodes.Template:
    """A template as a tree of what is allowed. Raises TemplateError."""
    if len(text) > _MOST_CACHED:
        tree, tokens = _read(text)
    else:
        before = _kept.cache_info().misses
        tree, tokens = _kept(text)
        if _kept.cache_info().misses == before:
            return tree
    budget.charge(tokens * TOKEN)
    return tree


def parsed_expression(text: str, budget: Budget) -> nodes.Expr:
    """An expression, with or without the braces. Raises TemplateError."""
    inner = text.strip()
    if not (inner.startswith("{{") and inner.endswith("}}")):
        # With line ends around it nothing in it can be taken for the trimming of spaces.
        inner = f"{{{{\n{inner}\n}}}}"
    expression = single(parsed(inner, budget))
    if expression is None:
        raise TemplateError("is not one expression: write it like `steps.build.result.ok`, or in `{{ }}`")
    if secret(expression) is not None:
        raise TemplateError("is a secret: the server does not look into those")
    return expression


def single(tree: nodes.Template) -> nodes.Expr | None:
    """The expression that is all there is in a template."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output) or len(tree.body[0].nodes) != 1:
        return None
    only = tree.body[0].nodes[0]
    return None if isinstance(only, nodes.TemplateData) else only


def secret(node: nodes.Node) -> str | None:
    """The name in `secrets.NAME`."""
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == SECRETS:
        return node.attr
    return None


def _read(text: str) -> Parsed:
    try:
        tokens = sum(1 for _ in islice(_ENVIRONMENT.lex(text), MOST_TOKENS + 1))
        if tokens > MOST_TOKENS:
            raise TemplateError(f"has more than {MOST_TOKENS:,} words and signs in its braces: make it simpler")
        tree = _ENVIRONMENT.parse(text)
        _check(tree, 0)
    except TemplateSyntaxError as error:
        hint = "; text that only looks like a template goes between {% raw %} and {% endraw %}"
        raise TemplateError(f"is no template, line {error.lineno}: {(error.message or '').rstrip('.')}{hint}") from None
    except (ValueError, OverflowError):
        raise TemplateError("has a number that is out of range") from None
    except RecursionError:
        raise TemplateError(f"is nested more than {DEEPEST} deep: make it simpler") from None
    return Parsed(tree, tokens)


_kept = lru_cache(128)(_read)


def _check(node: nodes.Node, depth: int) -> None:
    if depth > DEEPEST:
        raise TemplateError(f"is nested more than {DEEPEST} deep, line {node.lineno}: make it simpler")
    if isinstance(node, nodes.Template):
        children: Collection[nodes.Node] = node.body
    elif isinstance(node, nodes.Output):
        children = [child for child in node.nodes if secret(child) is None]
    else:
        _check_one(node)
        children = list(node.iter_child_nodes())
    for child in children:
        _check(child, depth + 1)


def _check_one(node: nodes.Node) -> None:
    at = f"line {node.lineno or 1}"
    if isinstance(node, nodes.Call):
        name = _described(node.node)
        raise TemplateError(f"has a call, {at}: nothing can be called{name}; filters are written `value | name`")
    if check := _CHECKS.get(type(node)):
        check(node, at)
    elif not isinstance(node, _PLAIN):
        what = _REFUSED.get(type(node), f"`{type(node).__name__.lower()}`")
        raise TemplateError(f"has {what}, {at}: templates have expressions, filters and conditions alone, so that they end")


def _described(node: nodes.Node) -> str:
    return (
        f", not `{node.name}`"
        if isinstance(node, nodes.Name)
        else f", not `{node.attr}`"
        if isinstance(node, nodes.Getattr)
        else ""
    )


def _check_name(node: nodes.Name, at: str) -> None:
    if node.name == SECRETS:
        raise TemplateError(
            f"uses `secrets` in an expression, {at}: it stands alone, as {{{{ secrets.NAME }}}}, which whoever runs the task "
            "gets the value for"
        )
    if node.name.startswith("_"):
        raise TemplateError(f"uses `{node.name}`, {at}: names that begin with an underscore are not for templates")


def _check_attribute(node: nodes.Getattr, at: str) -> None:
    if node.attr.startswith("_"):
        raise TemplateError(f"uses the attribute `{node.attr}`, {at}: those that begin with an underscore are not for templates")


def _check_item(node: nodes.Getitem, at: str) -> None:
    if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) and node.arg.value.startswith("_"):
        raise TemplateError(f"uses the item `{node.arg.value}`, {at}: those that begin with an underscore are not for templates")


def _check_constant(node: nodes.Const, at: str) -> None:
    value = node.value
    if isinstance(value, str) and not storable(value):
        raise TemplateError(f"has a text with a sign that cannot be kept (a NUL, or half of one), {at}: leave it out")
    if isinstance(value, (int, float)) and not abs(value) <= LARGEST:
        raise TemplateError(f"has a number that is out of range, {at}: a number of 64 bits at the most")


def _check_filter(node: nodes.Filter, at: str) -> None:
    _known(node.name, FILTERS, "filter", at)
    _plain_arguments(node, at)
    paths = [argument.value for argument in node.kwargs if argument.key == "attribute"]
    paths += node.args[:1] if node.name in _BY_ATTRIBUTE else []
    for path in paths:
        if isinstance(path, nodes.Const) and any(name.startswith("_") for name in str(path.value).split(".")):
            raise TemplateError(
                f"uses the attribute `{path.value}`, {at}: those that begin with an underscore are not for templates"
            )


def _check_test(node: nodes.Test, at: str) -> None:
    _known(node.name, TESTS, "test", at)
    _plain_arguments(node, at)


def _known(name: str, known: Collection[str], what: str, at: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(sorted(known))}"
        raise TemplateError(f"has the {what} `{name}`, which there is not, {at}; {hint}")


def _plain_arguments(node: nodes.Filter | nodes.Test, at: str) -> None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise TemplateError(f"has `*` before an argument of `{node.name}`, {at}: write the arguments out")


_CHECKS: Final[Mapping[type[nodes.Node], Callable[..., None]]] = MappingProxyType({
    nodes.Name: _check_name,
    nodes.Getattr: _check_attribute,
    nodes.Getitem: _check_item,
    nodes.Const: _check_constant,
    nodes.Filter: _check_filter,
    nodes.Test: _check_test,
})  # fmt: skip
