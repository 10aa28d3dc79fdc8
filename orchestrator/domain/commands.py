"""Commands: named prompts with places for arguments, as the Markdown files that agents' slash commands are."""

import difflib
import re
from typing import Any, Final

import msgspec

from orchestrator.domain import front_matter
from orchestrator.domain.command import Command, Commands
from orchestrator.domain.filling import filled
from orchestrator.domain.front_matter import FrontMatterError
from worker_client.contract.commands import CreateCommand
from worker_client.contract.fields import JsonObject
from worker_client.errors import ValidationFailed

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}(/[a-z0-9][a-z0-9-]{0,63}){0,7}")
LARGEST: Final = 1_000_000
"""Bytes of a file."""
_OURS: Final = ("name", "description", "arguments")
_BLANK_BEFORE: Final = re.compile(r"\A(?:[ \t]*\r?\n)+")
_MOST_NAMED: Final = 5


def parse(text: str, name: str) -> Command:
    """The command that a file is; one with a `problem` when it cannot be used."""
    try:
        fields, rest = front_matter.split(text.removeprefix("\ufeff"))
        body = plain(rest)
        _check(name, body)
        read = {
            "name": name,
            "body": body,
            "description": _description(fields.pop("description", None)),
            "arguments": _arguments(fields.pop("arguments", None)),
            "settings": fields,
        }
        return command(msgspec.convert(read, CreateCommand))
    except (FrontMatterError, ValidationFailed, msgspec.ValidationError) as problem:
        return Command(name=name, problem=str(problem))


def command(made: CreateCommand) -> Command:
    """A command that was sent. Raises ValidationFailed."""
    for field in _OURS:
        if field in made.settings:
            raise ValidationFailed(f"`settings.{field}` is a field of its own: send it as `{field}`", field=f"settings.{field}")
    names = [argument.name for argument in made.arguments]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValidationFailed(f"`arguments` has {twice!r} twice: give each its own name", field="arguments")
    if not (body := plain(made.body)):
        raise ValidationFailed("`body` is empty: send the prompt", field="body")
    return Command(
        name=made.name, body=body, description=made.description, arguments=tuple(made.arguments), settings=made.settings
    )


def _check(name: str, body: str) -> None:
    if not NAME.fullmatch(name):
        raise FrontMatterError("its name has other signs than lower-case letters, digits and `-`: rename the file")
    if not body:
        raise FrontMatterError("it has no text: write the prompt below its front matter")
    if "\0" in body:
        raise FrontMatterError("it has a NUL byte")


def plain(body: str) -> str:
    """A body without blank lines around it."""
    return _BLANK_BEFORE.sub("", body).rstrip()


def written(command: Command) -> str:
    """The file of a command. Raises ValidationFailed for one that could not be read again."""
    fields: dict[str, Any] = {}
    if command.description:
        fields["description"] = command.description
    if command.arguments:
        fields["arguments"] = msgspec.to_builtins(list(command.arguments))
    try:
        text = front_matter.joined(fields | command.settings, command.body + "\n")
        problem = parse(text, command.name).problem
    except RecursionError:
        problem = front_matter.TOO_DEEP
    if problem is not None:
        raise ValidationFailed(
            f"`settings` make a file that could not be used: {problem}; send less, or flatter", field="settings"
        )
    return text


def prompt(name: str, arguments: str | JsonObject | None, commands: Commands, most: int, at: str = "") -> str:
    """What a command comes to with arguments. Raises ValidationFailed."""
    found = commands.get(name)
    if found is None:
        raise ValidationFailed(f"`{at}command` is {name!r}, which there is not; {_near(name, commands)}", field=f"{at}command")
    if found.problem is not None:
        raise ValidationFailed(f"`{at}command` is {name!r}, which cannot be used: {found.problem}", field=f"{at}command")
    return filled(found.body, found.arguments, arguments, most, f"{at}arguments")


def _near(name: str, commands: Commands) -> str:
    known = sorted(known for known, one in commands.items() if one.problem is None)
    if close := difflib.get_close_matches(name, known, n=3, cutoff=0.6):
        return f"did you mean {' or '.join(f'`{one}`' for one in close)}?"
    if not known:
        return "there are none"
    return f"there are {', '.join(f'`{one}`' for one in known[:_MOST_NAMED])}{', ...' if len(known) > _MOST_NAMED else ''}"


def _description(value: Any) -> str:
    if isinstance(value, (list, dict)):
        raise FrontMatterError("`description` in its front matter is no text: put it in quotes")
    return "" if value is None else str(value)


def _arguments(value: Any) -> Any:
    """As we write them, or their names alone."""
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list):
        raise FrontMatterError("`arguments` in its front matter are no list: write their names, or an object for each")
    return [{"name": one} if isinstance(one, str) else one for one in value]
