"""What running text says of our programs is so: commands and their options, variables, exit codes, settings."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from orchestrator.cli import main as orchestrator
from orchestrator.cli.exits import Exit
from orchestrator.settings import SECTIONS
from tests.docs.blocks import PAGES, ROOT
from worker_client.cli import main as worker

PROGRAMS: Final[dict[str, click.Command]] = {"orchestrator": orchestrator, "orchestrator-worker": worker}
CODE: Final = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
FENCED: Final = re.compile(r"(?ms)^ *(`{3,})[^`\n]*$.*?^ *\1$")
VARIABLE: Final = re.compile(r"\bORCHESTRATOR_[A-Z_]*[A-Z]\b")
# Sections whose names begin other things, too: events, fields of triggers, references to secrets, files.
AMBIGUOUS: Final = {"task", "auth", "secrets", "email", "github", "commands", "scheduler", "server"}
OF_SHELLS: Final = {126, 127, 143}
OF_OTHERS: Final = {
    "--permission-mode", "--allowedTools", "--max-budget-usd", "--sandbox", "--auto", "--approval-mode", "--resume",
    "--output-format", "--header", "--print", "--mcp-config", "--strict", "--user",
}  # fmt: skip
"""Options of agents and tools."""


def inline(page: Path) -> Iterator[str]:
    """The code in the running text of a page."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return (code for _, code in CODE.findall(re.sub(r"\n(?=\S)", " ", text)))


def options(command: click.Command) -> set[str]:
    """All spellings, with those that every command has."""
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return own | {"--help", "-h"}


def commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """A command and all below it, with their names."""
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, (*path, name))


ALL: Final = [found for name, program in PROGRAMS.items() for found in commands(program, (name,))]
OPTIONS: Final = set().union(*(options(command) for _, command in ALL))


def variables() -> set[str]:
    """Those of options, and those that the code names."""
    known = {
        "_".join(("ORCHESTRATOR", *path[1:], str(parameter.name))).upper().replace("-", "_")
        for path, command in ALL
        for parameter in command.params
    }
    known |= {
        f"ORCHESTRATOR_{parameter.name}".upper() for path, one in ALL if path[0].endswith("worker") for parameter in one.params
    }
    for folder in ("orchestrator", "worker_client"):
        for file in (ROOT / folder).rglob("*.py"):
            known |= set(VARIABLE.findall(file.read_text(encoding="utf-8")))
    return known


KNOWN: Final = variables()


def split(line: str) -> list[str]:
    """The words of a command line, without the variables before it."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    return words


def complaint(line: str) -> str | None:
    """What is wrong with a command line; names in capitals and dots stand for something."""
    words = split(line)
    if not words or words[0] not in PROGRAMS:
        return None
    command = PROGRAMS[words.pop(0)]
    if words and words[0] == "db":  # sqlite-utils', whose commands are many and come late
        return None
    while isinstance(command, click.Group) and words and not words[0].startswith("-") and words[0] not in ("...", "COMMAND"):
        if words[0] not in command.commands:
            return f"{command.name} has no command {words[0]}"
        command = command.commands[words.pop(0)]
    if command.context_settings.get("ignore_unknown_options"):
        return None
    for word in words:
        if word in ("|", "&&", "||", ">", "--"):
            break
        if re.match(r"--?[a-z]", word) and (named := word.partition("=")[0]) not in options(command):
            return f"{command.name} has no option {named}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_the_text_names_is_there(page: Path) -> None:
    for code in inline(page):
        assert (wrong := complaint(code)) is None, f"`{code}`: {wrong}"
        if re.fullmatch(r"--[a-z][\w-]*( .*)?", code):
            assert code.split()[0] in OPTIONS | OF_OTHERS, f"`{code}`: none of our commands has this option"
        if (setting := re.fullmatch(r"(\w+)\.(\w+)", code)) and setting[1] in SECTIONS.keys() - AMBIGUOUS:
            assert setting[2] in SECTIONS[setting[1]].__struct_fields__, f"`{code}`: there is no such setting"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_variables_and_exit_codes_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert sorted(set(VARIABLE.findall(text)) - KNOWN) == []
    told = {int(code) for code in re.findall(r"[Ee]xit code (?:is |of )?`?(\d+)", text)}
    assert told <= {int(code) for code in Exit} | OF_SHELLS


def test_what_is_not_there_is_noticed() -> None:
    assert complaint('orchestrator add "Fix it" --dri .') == "add has no option --dri"
    assert complaint("APP_ENV=x orchestrator schedule strat nightly") == "schedule has no command strat"
    assert complaint("orchestrator-worker run --dir . --agent claude --worktree") is None
    assert complaint("make test --nothing") is None
