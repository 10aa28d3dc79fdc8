"""What a template comes to: its tree is walked, nothing is compiled, so nothing but JSON values is within its reach."""

import math
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from jinja2 import nodes

from orchestrator.domain.defusing import Pieces
from orchestrator.domain.templates.budget import LARGEST, Budget, TemplateError
from orchestrator.domain.templates.filters import FILTERS, MISSING, kind, member, text
from orchestrator.domain.templates.language import secret
from orchestrator.domain.templates.predicates import LESS, MORE, NOT_LESS, NOT_MORE, TESTS, contains, equal

Values = Mapping[str, Any]
_MOST_SHOWN: Final = 20


class Undefined(TemplateError):
    """Something that is asked for is not there."""


class Evaluation:
    """One evaluation of a tree with values, within a budget."""

    def __init__(self, values: Values, budget: Budget) -> None:
        self.values = values
        self.budget = budget

    def text(self, tree: nodes.Template) -> str:
        """The text that a template comes to. Raises TemplateError."""
        pieces = Pieces()
        self._write(tree.body, pieces)
        return pieces.text()

    def value(self, node: nodes.Node) -> Any:
        """The value of an expression. Raises TemplateError."""
        self.budget.items(1)
        return _EVALUATED[type(node)](self, node)

    def _write(self, body: Iterable[nodes.Node], pieces: Pieces) -> None:
        for node in body:
            if isinstance(node, nodes.If):
                self._write(self._branch(node), pieces)
            else:
                for child in node.iter_child_nodes():
                    self._put(child, pieces)

    def _put(self, child: nodes.Node, pieces: Pieces) -> None:
        if isinstance(child, nodes.TemplateData):
            add, part = pieces.written, child.data
        elif (name := secret(child)) is not None:
            add, part = pieces.written, reference(name)
        else:
            add, part = pieces.given, text(self.budget, self.value(child))
        self.budget.put_out(len(part))
        add(part)

    def _branch(self, node: nodes.If) -> list[nodes.Node]:
        for one in (node, *node.elif_):
            if self.value(one.test):
                return one.body
        return node.else_


def _name(run: Evaluation, node: nodes.Name) -> Any:
    if node.name not in run.values:
        raise Undefined(f"uses `{node.name}`, which is not there; there is {_shown(run.values)}")
    return run.values[node.name]


def _attribute(run: Evaluation, node: nodes.Getattr) -> Any:
    return _member(run, node.node, node.attr)


def _item(run: Evaluation, node: nodes.Getitem) -> Any:
    if isinstance(node.arg, nodes.Slice):
        return _slice(run, node.node, node.arg)
    return _member(run, node.node, run.value(node.arg))


def _member(run: Evaluation, holder: nodes.Expr, name: Any) -> Any:
    value = run.value(holder)
    if isinstance(name, str) and name.startswith("_"):
        raise TemplateError(f"uses the item `{name}`: those that begin with an underscore are not for templates")
    found = member(value, name)
    if found is MISSING:
        has = f"; it has {_shown(value)}" if isinstance(value, dict) else ""
        raise Undefined(f"uses {name!r} of `{_spelled(holder)}`, {kind(value)} without it{has}")
    return found


def _slice(run: Evaluation, holder: nodes.Expr, node: nodes.Slice) -> Any:
    value = run.value(holder)
    start, stop, step = (None if part is None else run.value(part) for part in (node.start, node.stop, node.step))
    if not isinstance(value, (str, list)):
        raise TemplateError(f"takes a part of {kind(value)}: only texts and lists have parts")
    chosen = slice(start, stop, step)
    try:
        run.budget.charge(len(range(*chosen.indices(len(value)))))
    except (TypeError, ValueError) as error:
        raise TemplateError(f"takes a part that there is not: {error}") from None
    return value[chosen]


def _filter(run: Evaluation, node: nodes.Filter) -> Any:
    given, named = _arguments(run, node)
    try:
        if node.name in {"default", "d"}:
            return _default(run, node, *given, **named)
        made = FILTERS[node.name](run.budget, run.value(_filtered(node)), *given, **named)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise TemplateError(f"has the filter `{node.name}`, which cannot be used like this: {error}") from None
    if made is MISSING:
        raise Undefined(f"uses `{node.name}` of something empty")
    return made


def _default(run: Evaluation, node: nodes.Filter, default_value: Any = "", boolean: Any = False) -> Any:  # noqa: FBT002  Jinja2's
    try:
        value = run.value(_filtered(node))
    except Undefined:
        return default_value
    return default_value if boolean and not value else value


def _test(run: Evaluation, node: nodes.Test) -> bool:
    if node.name in {"defined", "undefined"}:
        try:
            run.value(node.node)
        except Undefined:
            return node.name == "undefined"
        return node.name == "defined"
    given, named = _arguments(run, node)
    try:
        return bool(TESTS[node.name](run.budget, run.value(node.node), *given, **named))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise TemplateError(f"has the test `{node.name}`, which cannot be used like this: {error}") from None


def _arguments(run: Evaluation, node: nodes.Filter | nodes.Test) -> tuple[list[Any], dict[str, Any]]:
    return [run.value(one) for one in node.args], {str(one.key): run.value(one.value) for one in node.kwargs}


def _compare(run: Evaluation, node: nodes.Compare) -> bool:
    left = run.value(node.expr)
    for operand in node.ops:
        right = run.value(operand.expr)
        try:
            if not _COMPARED[operand.op](run.budget, left, right):
                return False
        except TypeError:
            raise TemplateError(f"compares {kind(left)} with {kind(right)}, which have no order: use `int` or `string`") from None
        left = right
    return True


def _either(run: Evaluation, node: nodes.Or) -> Any:
    return run.value(node.left) or run.value(node.right)


def _both(run: Evaluation, node: nodes.And) -> Any:
    return run.value(node.left) and run.value(node.right)


def _inverse(run: Evaluation, node: nodes.Not) -> bool:
    return not run.value(node.node)


def _conditional(run: Evaluation, node: nodes.CondExpr) -> Any:
    if run.value(node.test):
        return run.value(node.expr1)
    return "" if node.expr2 is None else run.value(node.expr2)


def _concat(run: Evaluation, node: nodes.Concat) -> str:
    parts = [text(run.budget, run.value(one)) for one in node.nodes]
    run.budget.charge(sum(map(len, parts)))
    return "".join(parts)


def _binary(run: Evaluation, node: nodes.BinExpr) -> Any:
    left, right = run.value(node.left), run.value(node.right)
    if isinstance(node, nodes.Add) and type(left) is type(right) and isinstance(left, (str, list)):
        run.budget.charge(len(left) + len(right))
        return left + right
    return _number(_OPERATORS[type(node)], node.operator, left, right)


def _unary(run: Evaluation, node: nodes.UnaryExpr) -> Any:
    return _number(_OPERATORS[type(node)], node.operator, run.value(node.node))


def _listed(run: Evaluation, node: nodes.List | nodes.Tuple) -> list[Any]:
    return [run.value(one) for one in node.items]


def _object(run: Evaluation, node: nodes.Dict) -> dict[str, Any]:
    return {text(run.budget, run.value(pair.key)): run.value(pair.value) for pair in node.items}


def reference(name: str) -> str:
    """How a task asks for a secret."""
    return f"{{{{ secrets.{name} }}}}"


def _filtered(node: nodes.Filter) -> nodes.Expr:
    if node.node is None:
        raise TemplateError(f"has the filter `{node.name}` of nothing")
    return node.node


def _number(operation: Callable[..., Any], sign: str, *operands: Any) -> Any:
    if wrong := [one for one in operands if not isinstance(one, (int, float))]:
        raise TemplateError(f"has `{sign}` with {kind(wrong[0])}: it is for numbers; texts are joined with `~`")
    try:
        made = operation(*operands)
    except ZeroDivisionError:
        raise TemplateError(f"divides by zero (`{sign}`)") from None
    except OverflowError:
        made = math.inf
    if not abs(made) <= LARGEST and (isinstance(made, int) or not math.isfinite(made)):
        raise TemplateError(f"has `{sign}` with a result that is out of range: a number of 64 bits at the most")
    return made


def _spelled(node: nodes.Node) -> str:
    if isinstance(node, nodes.Name):
        return str(node.name)
    if isinstance(node, nodes.Getattr):
        return f"{_spelled(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{_spelled(node.node)}[{node.arg.value!r}]"
    return "..."


def _shown(names: Collection[str]) -> str:
    listed = sorted(names)[:_MOST_SHOWN]
    return ", ".join(f"`{name}`" for name in listed) + (", ..." if len(names) > _MOST_SHOWN else "") if listed else "nothing"


_OPERATORS: Final[Mapping[type[nodes.Node], Callable[..., Any]]] = MappingProxyType({
    nodes.Add: operator.add,
    nodes.Sub: operator.sub,
    nodes.Mul: operator.mul,
    nodes.Div: operator.truediv,
    nodes.FloorDiv: operator.floordiv,
    nodes.Mod: operator.mod,
    nodes.Neg: operator.neg,
    nodes.Pos: operator.pos,
})  # fmt: skip
_COMPARED: Final[Mapping[str, Callable[..., bool]]] = MappingProxyType({
    "eq": equal,
    "ne": lambda budget, one, other: not equal(budget, one, other),
    "lt": LESS,
    "lteq": NOT_MORE,
    "gt": MORE,
    "gteq": NOT_LESS,
    "in": contains,
    "notin": lambda budget, one, other: not contains(budget, one, other),
})  # fmt: skip
_EVALUATED: Final[Mapping[type[nodes.Node], Callable[[Evaluation, Any], Any]]] = MappingProxyType({
    nodes.Const: lambda _, node: node.value,
    nodes.Name: _name,
    nodes.Getattr: _attribute,
    nodes.Getitem: _item,
    nodes.Filter: _filter,
    nodes.Test: _test,
    nodes.Compare: _compare,
    nodes.Or: _either,
    nodes.And: _both,
    nodes.Not: _inverse,
    nodes.CondExpr: _conditional,
    nodes.Concat: _concat,
    nodes.List: _listed,
    nodes.Tuple: _listed,
    nodes.Dict: _object,
    **dict.fromkeys((nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod), _binary),
    **dict.fromkeys((nodes.Neg, nodes.Pos), _unary),
})  # fmt: skip
