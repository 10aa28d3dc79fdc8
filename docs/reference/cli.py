"""Writes docs/reference/cli.md and the pages below it from the commands themselves: `python -m docs`."""

from collections.abc import Callable, Mapping
from typing import Final

import rich_click as click

from docs.reference.commands import commands, described, link, section, summary
from docs.writing import table
from orchestrator.cli import PANELS, main
from orchestrator.cli.exits import Exit
from orchestrator.cli.options import json_option, key_option, url_option

NAME: Final = "orchestrator"
PAGES: Final = {
    "server": ("Server", ("Server",)),
    "tasks": ("Tasks", ("Tasks", "Changing tasks")),
    "schedules": ("Schedules, commands and files", ("schedule", "scheduler", "command", "apply", "import")),
    "workflows": ("Workflows, triggers and notifications", ("workflow", "run", "trigger", "notify")),
    "around": ("Workers, directories and costs", ("Around them",)),
    "access": ("Who may do what", ("Who may do what",)),
}
"""Names of pages, with their titles and with what stands there: panels of the help, or commands of one."""
SHARED: Final = frozenset({"--url", "--api-key", "--json"})
OF_OTHERS: Final = "db"
"""The command whose own commands are those of sqlite-utils."""
MEANINGS: Final = {
    Exit.OK: "done",
    Exit.FAILED: "refused or failed; with `add --wait`, the task ended and is not completed",
    Exit.USAGE: "wrong usage: an option, a setting, or a field that the server does not take",
    Exit.NOT_FOUND: "there is no such task, schedule, workflow, command or key",
    Exit.CONFLICT: "something is in the way: the state, the version, the key, another server on this database",
    Exit.UNREACHABLE: "no server answers",
    Exit.FORBIDDEN: "not allowed: no key, a bad one, or one that may not",
    Exit.BUSY: "the server has too much to do: try again",
    Exit.DIFFERS: "`apply --dry-run`: not all is as the files declare it",
    Exit.INTERRUPTED: "interrupted",
}
_WRITTEN: Final = "<!-- Written by docs/reference/cli.py from the commands; a test compares them. -->"


def pages() -> Mapping[str, str]:
    """Each page by its place below docs/reference."""
    found = {name: one for name, one in commands(main, NAME) if name.split()[1] != OF_OTHERS}
    whole = {
        page: {name: one for name, one in found.items() if _on(name.split()[1], parts)} for page, (_, parts) in PAGES.items()
    }
    if left := set(found) - {name for names in whole.values() for name in names}:
        raise ValueError(f"these commands are on no page of docs/reference/cli.py: {sorted(left)}")
    return {"cli.md": _index(whole), **{f"cli/{page}.md": _page(PAGES[page][0], names) for page, names in whole.items()}}


def _on(command: str, parts: tuple[str, ...]) -> bool:
    """Whether a page of these parts has a command."""
    return any(command == part or command in PANELS.get(part, ()) for part in parts)


def _page(title: str, found: Mapping[str, click.Command]) -> str:
    lines = [f"# {title}: the command line", "", _WRITTEN, ""]
    for name, command in found.items():
        lines += section(name, command, SHARED)
    return "\n".join(lines)


def _index(whole: Mapping[str, Mapping[str, click.Command]]) -> str:
    lines = ["# Commands of orchestrator", "", _WRITTEN, "", "[The command line](../cli.md) explains how they go together.", ""]
    for page, found in whole.items():
        lines += [f"## {PAGES[page][0]}", ""]
        lines += [*table(("command", "does"), ((link(name, f"cli/{page}.md"), summary(one)) for name, one in found.items())), ""]
    context = click.Context(main, info_name=NAME)
    shared = [_shared(option, context) for option in (url_option, key_option, json_option)]
    return "\n".join([
        *lines,
        "`orchestrator db` is [sqlite-utils](https://sqlite-utils.datasette.io) on the database file, with all of its commands.",
        "",
        "## Options that many have",
        "",
        *table(("option", "means"), shared),
        "",
        "`-h`, `--help` describes a command. Every option can be set as `ORCHESTRATOR_<COMMAND>_<OPTION>`, too, such as",
        "`ORCHESTRATOR_LIST_LIMIT`.",
        "",
        "## Exit codes",
        "",
        *table(("code", "means"), ((str(int(code)), MEANINGS[code]) for code in Exit)),
        "",
    ])  # fmt: skip


def _shared(decorator: Callable[[click.Command], click.Command], context: click.Context) -> tuple[str, str]:
    """An option by the decorator that gives it to commands."""

    @click.command()
    def bearer() -> None:
        pass

    (option,) = (one for one in decorator(bearer).params if isinstance(one, click.Option))
    return described(option, context)
