"""Files that people write: JSON, YAML or TOML, read into plain values that know where in the file they stand."""

import json
import re
import tomllib
from collections.abc import Hashable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from worker_client.errors import ValidationFailed

SUFFIXES: Final = frozenset({".json", ".yaml", ".yml", ".toml"})
_LARGEST: Final = 10_000_000
_NODES: Final = 200_000
"""What aliases may make of a YAML file: a small one can say more than there is memory for."""
_DEPTH: Final = 100
_PLAIN: Final = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_PART: Final = re.compile(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]")
Path_ = tuple[str | int, ...]


class Document(NamedTuple):
    """A plain value, the file that it is from, and the lines that its parts stand on where the format tells."""

    source: str
    value: Any
    lines: Mapping[Path_, int]

    def line(self, path: Path_) -> str:
        """The file, with the line where a part stands if that is known: `flows.yaml:12`."""
        line = next((self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), None)
        return f"{self.source}:{line}" if line else self.source

    def at(self, path: Path_ = ()) -> str:
        """Where a part stands, for people: `flows.yaml:12: steps[0].task`."""
        return f"{self.line(path)}: {written(path)}" if path else self.line(path)


def written(path: Path_) -> str:
    """A path as people write it: `steps[0].task`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def read(path: Path) -> list[Document]:
    """The documents of a file; a YAML file may have several. Raises ValidationFailed with the place of what is wrong."""
    if path.suffix not in SUFFIXES:
        raise ValidationFailed(f"{path} is of no format that is known here: expected {', '.join(sorted(SUFFIXES))}")
    try:
        with path.open("rb") as file:  # which may have no end
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise ValidationFailed(f"{path} cannot be read: {error.strerror or error}") from None
    return parsed(content, path.suffix, str(path))


def parsed(content: bytes, suffix: str, source: str) -> list[Document]:
    """The documents of what a file holds. Raises ValidationFailed with the place of what is wrong."""
    if len(content) > _LARGEST:
        raise ValidationFailed(f"{source} has more than {_LARGEST:,} bytes")
    try:
        text = content.decode("utf-8-sig")
        if suffix == ".toml":
            return [Document(source, tomllib.loads(text), {})]
        if suffix in {".yaml", ".yml"}:
            return list(_yaml(source, text))
        return [Document(source, json.loads(text, object_pairs_hook=_single), {})]
    except UnicodeDecodeError as error:
        raise ValidationFailed(f"{source} is no text in UTF-8: {error}") from None
    except ValueError as error:
        raise ValidationFailed(f"{source}: {error}") from None
    except RecursionError:
        raise ValidationFailed(f"{source} is nested deeper than {_DEPTH} levels") from None


def path_of(told: str) -> Path_:
    """The parts of a path as msgspec writes it, `$.steps[0].task`, up to where it says `...`."""
    parts: list[str | int] = []
    for name, index in _PART.findall(told):
        if index == "...":
            break
        parts.append(int(index) if index else name)
    return tuple(parts)


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"`{next(name for name in names if names.count(name) > 1)}` stands twice in the same object")
    return named


def _yaml(source: str, text: str) -> Iterator[Document]:
    import yaml

    try:
        nodes = list(yaml.compose_all(text, yaml.SafeLoader))
        for place, node in enumerate(nodes, start=1):
            reader = _Reader()
            yield Document(f"{source} (document {place})" if len(nodes) > 1 else source, reader.value(node, ()), reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = f"{error.problem or error.context}"
        hint = "; text that begins with * or has `: ` in it stands in quotes" if "alias" in told or "mapping" in told else ""
        raise ValidationFailed(f"{source}{f':{mark.line + 1}' if mark else ''}: {told}{hint}") from None
    except yaml.YAMLError as error:
        raise ValidationFailed(f"{source}: {error}") from None


class _Reader:
    """Makes values of the nodes of a YAML document, and notes their lines."""

    def __init__(self) -> None:
        import yaml

        self.lines: dict[Path_, int] = {}
        self._nodes = 0
        self._scalars = yaml.SafeLoader("")
        self._yaml = yaml

    def value(self, node: Any, path: Path_) -> Any:
        line = node.start_mark.line + 1
        self._nodes += 1
        if self._nodes > _NODES:
            raise ValueError(f"line {line}: its aliases make more than {_NODES:,} values of it")
        if len(path) > _DEPTH:
            raise ValueError(f"line {line}: nested deeper than {_DEPTH} levels")
        self.lines.setdefault(path, line)
        if not isinstance(node, self._yaml.ScalarNode) and node.tag not in _PLAIN:
            raise ValueError(f"line {line}: the tag {node.tag!r} makes none of JSON's types")
        if isinstance(node, self._yaml.MappingNode):
            return self._object(node, path)
        if isinstance(node, self._yaml.SequenceNode):
            return [self.value(one, (*path, place)) for place, one in enumerate(node.value)]
        return self._scalars.construct_object(node)

    def _object(self, node: Any, path: Path_) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                for one in value.value if isinstance(value, self._yaml.SequenceNode) else [value]:
                    other = self.value(one, (*path, "<<"))
                    if not isinstance(other, dict):
                        raise ValueError(  # noqa: TRY004 - wrong in what was written
                            f"line {line}: `<<` takes the fields of an object, and this is none"
                        )
                    merged = {**other, **merged}
                continue
            name = self._name(key, line)
            if name in own:
                raise ValueError(f"line {line}: `{name}` stands twice in the same object")
            own[name] = self.value(value, (*path, name))
            self.lines[*path, name] = line
        return {**merged, **own}

    def _name(self, key: Any, line: int) -> str:
        name: Hashable = self._scalars.construct_object(key) if isinstance(key, self._yaml.ScalarNode) else key.tag
        if isinstance(name, str):
            return name
        told = name.isoformat() if isinstance(name, date | datetime) else repr(name)
        raise ValueError(f"line {line}: a name of a field is text, and this is {told}: put it into quotes")
