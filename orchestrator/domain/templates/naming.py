"""Which names a template uses, against those that there will be."""

import difflib
from collections.abc import Collection, Iterator
from typing import Final

from jinja2 import nodes

from orchestrator.domain.templates.budget import TemplateError
from orchestrator.domain.templates.language import secret

_MOST_SHOWN: Final = 20


def used(tree: nodes.Node, names: Collection[str]) -> frozenset[str]:
    """The names in a tree, of those that there are; of one with parts its part. Raises TemplateError."""
    return frozenset(_used(tree, names))


def _used(node: nodes.Node, names: Collection[str]) -> Iterator[str]:
    if isinstance(node, nodes.Name):
        yield _known(node.name, names, node.lineno)
        return
    if (part := _part(node)) is not None and part.partition(".")[0] not in names:
        yield _known(part, names, node.lineno)
        return
    for child in node.iter_child_nodes():
        if not (isinstance(node, nodes.Output) and secret(child) is not None):
            yield from _used(child, names)


def _part(node: nodes.Node) -> str | None:
    """`name.part`, where a node is that."""
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Name) and isinstance(node.arg, nodes.Const):
        return f"{node.node.name}.{node.arg.value}"
    return None


def _known(name: str, names: Collection[str], line: int) -> str:
    if name in names:
        return name
    whole, _, part = name.partition(".")
    parts = sorted(known.partition(".")[2] for known in names if known.startswith(f"{whole}."))
    if not parts:
        close, there, name = difflib.get_close_matches(whole, names, n=1, cutoff=0.7), sorted(names), whole
    else:
        close, there = difflib.get_close_matches(part, parts, n=1, cutoff=0.6), parts
        close, there = [f"{whole}.{one}" for one in close], [f"{whole}.{one}" for one in there]
    listed = ", ".join(f"`{one}`" for one in there[:_MOST_SHOWN]) or "nothing"
    hint = f"did you mean `{close[0]}`?" if close else f"there is {listed}"
    raise TemplateError(f"uses `{name}`, line {line}, which there is not; {hint}")
