"""What stands between two lines `---` at the head of a Markdown file: YAML, and what people write there as if it were."""

import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from orchestrator.domain.texts import storable

_LINES: Final = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_OPENS: Final = re.compile(r"\A---[ \t]*(?:\r?\n|\Z)")
_FIELD: Final = re.compile(r"^([A-Za-z_][A-Za-z0-9_-]*):", re.MULTILINE)
_DEEPEST: Final = 20
TOO_DEEP: Final = f"its front matter is nested more than {_DEEPEST} deep"
LARGEST: Final = 64 * 1024


class FrontMatterError(ValueError):
    """It cannot be read; the message says why."""


def split(text: str) -> tuple[dict[str, Any], str]:
    """The fields at the head of a text, and the rest of it. Raises FrontMatterError."""
    if not _OPENS.match(text):
        return {}, text
    found = _LINES.match(text)
    if found is None:
        raise FrontMatterError("its first line is `---`, and no second one ends what begins there")
    if len(found[1]) > LARGEST:
        raise FrontMatterError(f"its front matter has more than {LARGEST:,} characters")
    return _fields(found[1]), text[found.end() :]


def joined(fields: dict[str, Any], rest: str) -> str:
    """A text with fields at its head, where it has any or would seem to."""
    if not fields:
        return f"---\n---\n{rest}" if _OPENS.match(rest) else rest
    written: str = _yaml().dump(fields, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=2**31)
    return f"---\n{written}---\n{rest}"


def _fields(text: str) -> dict[str, Any]:
    try:
        read = _loaded(text)
    except FrontMatterError:
        raise
    except _unreadable() as broken:
        # `argument-hint: [file] [priority]` is usual there, and no YAML.
        fields = dict(_one_by_one(text))
        if not fields:
            raise FrontMatterError("its front matter is no YAML") from broken
        return fields
    if read is None:
        return {}
    if not isinstance(read, dict) or not all(isinstance(name, str) for name in read):
        raise FrontMatterError("its front matter has no fields: write `name: value`, one a line")
    return read


def _one_by_one(text: str) -> Iterator[tuple[str, Any]]:
    starts = [match.start() for match in _FIELD.finditer(text)]
    if text[: starts[0] if starts else None].strip():
        raise FrontMatterError("its front matter is no YAML")
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        name, _, value = text[start:end].partition(":")
        try:
            read = _loaded(text[start:end])[name]
        except FrontMatterError:
            raise
        except _unreadable():
            if "\n" in value.strip():
                raise FrontMatterError(f"`{name}` in its front matter is no YAML") from None
            read = value.strip()
        yield name, read


def _loaded(text: str) -> Any:
    read = _yaml().load(text, Loader=_loader())
    _check(read, 0)
    return read


def _check(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise FrontMatterError(TOO_DEEP)
    if isinstance(value, dict):
        if not all(isinstance(name, str) and storable(name) for name in value):
            raise FrontMatterError("its front matter has a field whose name is no text: put it in quotes")
        for inner in value.values():
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)
    elif isinstance(value, str) and not storable(value):
        raise FrontMatterError("its front matter has a text with a sign that cannot be kept (a NUL, or half of one)")
    elif isinstance(value, float) and value - value != 0:
        raise FrontMatterError("its front matter has a number without an end: put it in quotes")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise FrontMatterError("its front matter has a value that is no text, number, list or object: put it in quotes")


@cache
def _loader() -> Any:
    """Plain values alone: no dates, which JSON has not, and no aliases, of which a few lines make any size."""
    yaml = _yaml()
    composed, nested = yaml.SafeLoader.compose_node, yaml.SafeLoader.fetch_flow_collection_start

    def compose_node(self: Any, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise FrontMatterError("its front matter has an alias (`*`): write out what it stands for, or put it in quotes")
        return composed(self, parent, index)

    def fetch_flow_collection_start(self: Any, token: Any) -> None:
        # Its scanner takes ever longer for each one more.
        if self.flow_level > _DEEPEST:
            raise FrontMatterError(TOO_DEEP)
        nested(self, token)

    resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    own = {
        "compose_node": compose_node,
        "fetch_flow_collection_start": fetch_flow_collection_start,
        "yaml_implicit_resolvers": resolvers,
    }
    return type("PlainLoader", (yaml.SafeLoader,), own)


@cache
def _dumper() -> Any:
    """In double quotes, where signs that are not seen are written out, also what it would not read again otherwise."""
    yaml = _yaml()

    def represent(self: Any, text: str) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')

    made = type("PlainDumper", (yaml.SafeDumper,), {})
    made.add_representer(str, represent)  # type: ignore[attr-defined]
    return made


def _unreadable() -> tuple[type[Exception], ...]:
    return _yaml().YAMLError, ValueError, TypeError, KeyError, RecursionError


def _yaml() -> Any:
    # Not before somebody has such a file.
    return importlib.import_module("yaml")
