"""What the commands of a program are, as Markdown; shared by the pages of both programs."""

from collections.abc import Iterator
from typing import Final

import rich_click as click

from docs.writing import anchor, paragraphs, table

_LITERAL: Final = "\b"


def commands(group: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Each command with its whole name, in the order of the help; those that are hidden are left out."""
    if not isinstance(group, click.Group):
        yield name, group
        return
    context = click.Context(group)
    for part in group.list_commands(context):
        command = group.get_command(context, part)
        if command is not None and not command.hidden:
            yield from commands(command, f"{name} {part}")


def section(name: str, command: click.Command, shared: frozenset[str] = frozenset()) -> list[str]:
    """A command: what it does, how it is called, its options; of `shared` ones only the names."""
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    own = [one for one in options if one.opts[0] not in shared]
    common = [f"`{one.opts[0]}`" for one in options if one.opts[0] in shared]
    lines = [f"## {name}", "", *_help(command.help or ""), "```text", usage, "```", ""]
    if own:
        lines += [*table(("option", "means"), (described(one, context) for one in own)), ""]
    if common:
        lines += [f"And {_and(common)}: [options that many have](../cli.md#options-that-many-have).", ""]
    return lines


def link(name: str, page: str) -> str:
    """To the section of a command on a page."""
    return f"[`{name}`]({page}#{anchor(name)})"


def summary(command: click.Command) -> str:
    """The first paragraph of a command's help."""
    return next(iter(paragraphs((command.help or "").partition(_LITERAL)[0])), "").removesuffix(".")


def described(option: click.Option, context: click.Context) -> tuple[str, str]:
    """An option with its value, and what it means."""
    record = click.Option.get_help_record(option, context)
    assert record is not None, f"{option.name} of {context.info_name} is hidden"  # noqa: S101 - hidden ones are left out before
    names, said = record
    return f"`{names.removesuffix(' RANGE')}`", said.replace("<", "&lt;").replace("*", "\\*")


def _help(text: str) -> list[str]:
    lines: list[str] = []
    for part in text.strip().split("\n\n"):
        said = part.strip("\n")
        if said.strip(" ").startswith(_LITERAL):
            lines += ["```text", *(line.strip() for line in said.splitlines()[1:] if line.strip()), "```", ""]
        else:
            lines += [" ".join(said.split()), ""]
    return lines


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
