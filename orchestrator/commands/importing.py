"""Commands in the files of others: lists in JSON and YAML, and the Markdown files of agents."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from orchestrator.domain.commands import NAME, command, parse
from worker_client.contract.commands import CreateCommand
from worker_client.errors import ValidationFailed

_BODIES: Final = ("body", "content", "prompt", "template", "text", "command", "instruction")
_DESCRIPTIONS: Final = ("description", "desc", "summary")
_ARGUMENTS: Final = ("arguments", "parameters", "args")
_NAMES: Final = ("name", "command_name", "title")
_OTHER_SIGNS: Final = re.compile(r"[^a-z0-9/]+")


class NoCommandError(ValueError):
    """There is no command in it; the message says why."""


class Found(NamedTuple):
    """A command in a file, or why it is none; `named`: what the file calls it, `at`: where it stands there."""

    at: str
    named: str
    made: CreateCommand | None
    problem: str = ""


def in_document(value: Any) -> Iterator[Found]:
    """The commands of a list, of an object that has such a list in `commands`, or of one by name."""
    if isinstance(value, dict) and isinstance(value.get("commands"), (list, dict)):
        value = value["commands"]
    if isinstance(value, dict):
        named = [key for key in _NAMES if isinstance(value.get(key), str)]
        if named and any(isinstance(value.get(key), str) for key in _BODIES):
            yield _found("", value)
            return
        for name, one in value.items():
            yield _found(name, {"name": name, **(one if isinstance(one, dict) else {"body": one})})
        return
    if not isinstance(value, list):
        yield Found("", "", None, 'it is no list of commands: write `[{"name": ..., "body": ...}]`')
        return
    for place, one in enumerate(value):
        yield _found(f"[{place}]", one)


def in_markdown(text: str, stem: str) -> Found:
    """The command that a file of an agent's slash commands is."""
    try:
        name = _nameable(stem)
    except NoCommandError as problem:
        return Found("", stem, None, str(problem))
    read = parse(text, name)
    if read.problem is not None:
        return Found("", stem, None, read.problem)
    made = CreateCommand(
        name=name, body=read.body, description=read.description, arguments=list(read.arguments), settings=read.settings
    )
    return Found("", stem, made)


def plain_name(name: str) -> str:
    """A name with lower-case letters, digits and `-` alone, as far as it has any."""
    parts = (_OTHER_SIGNS.sub("-", part).strip("-") for part in name.strip().lstrip("/").lower().split("/"))
    return "/".join(part for part in parts if part)


def _found(at: str, sent: Any) -> Found:
    named = next((sent[key] for key in _NAMES if isinstance(sent.get(key), str)), "") if isinstance(sent, dict) else ""
    try:
        return Found(at, named, _made(named, sent))
    except (NoCommandError, msgspec.ValidationError, ValidationFailed) as problem:
        return Found(at, named, None, str(problem))


def _made(named: str, sent: Any) -> CreateCommand:
    if not isinstance(sent, dict):
        raise NoCommandError("it is no object with a `name` and a `body`")
    if not named:
        raise NoCommandError("it has no `name`")
    fields = {key: value for key, value in sent.items() if value is not None}
    _taken(fields, _NAMES)
    body, description, arguments = (_taken(fields, keys) for keys in (_BODIES, _DESCRIPTIONS, _ARGUMENTS))
    if not isinstance(body, str):
        raise NoCommandError(f"it has no text, which is looked for in {', '.join(f'`{key}`' for key in _BODIES)}")
    if not isinstance(arguments or [], list):
        raise NoCommandError("its `arguments` are no list")
    read = {
        "name": _nameable(named),
        "body": body,
        "description": description or "",
        "arguments": [{"name": one} if isinstance(one, str) else one for one in arguments or []],
        "settings": fields,
    }
    made = msgspec.convert(read, CreateCommand)
    command(made)
    return made


def _taken(fields: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """The first of some fields that is there, which is taken out."""
    return next((fields.pop(key) for key in keys if fields.get(key) is not None), None)


def _nameable(name: str) -> str:
    plain = plain_name(name)
    if not NAME.fullmatch(plain):
        raise NoCommandError(f"{name!r} cannot be a name here: give it one of lower-case letters, digits and `-`")
    return plain
