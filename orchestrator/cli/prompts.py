"""Commands, as people see them."""

from collections.abc import Iterator
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from orchestrator.cli import output
from orchestrator.cli.taking import Fate
from worker_client.contract.commands import Argument, Command


def commands(listed: list[Command]) -> Table:
    """Commands, a line each."""
    rows = (
        (
            one.name,
            " ".join(map(_argument, one.arguments)),
            Text(f"cannot be used: {one.problem}", style="red") if one.problem else one.description,
            output.moment(one.updated_at),
        )
        for one in listed
    )
    return output.table("COMMAND", "ARGUMENTS", "DESCRIPTION", "CHANGED", rows=rows)


def whole(one: Command) -> Iterator[Any]:
    """A command with its prompt."""

    def known() -> Iterator[tuple[str, Text | str]]:
        yield "command", one.name
        yield "cannot be used", one.problem or ""
        yield "description", one.description
        yield "arguments", " ".join(map(_argument, one.arguments))
        yield "settings", msgspec.json.encode(one.settings).decode() if one.settings else ""
        yield "changed", output.moment(one.updated_at)

    yield output.facts(known())
    yield ""
    yield Text(one.body)


def fates(taken: list[Fate]) -> Table:
    """What became of commands in files, a line each."""
    rows = ((f"{one.file}{one.at}", one.named, one.fate, one.reason) for one in taken)
    return output.table("FROM", "COMMAND", "", "NOTES", rows=rows)


def _argument(one: Argument) -> str:
    if one.default is not None:
        return f"[{one.name}={one.default}]"
    return one.name if one.required else f"[{one.name}]"
