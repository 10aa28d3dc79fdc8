"""`orchestrator command`: named prompts, as coding agents have them."""

import sys
from pathlib import Path
from typing import Any

import rich_click as click

from orchestrator.cli.exits import Exit
from orchestrator.cli.options import Session, connected

name = click.argument("name", metavar="COMMAND")
file_option = click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Take the prompt from a file; - is standard input.",
)
description_option = click.option("--description", help="What it is for, in one line.")
argument_option = click.option(
    "--argument",
    "arguments",
    metavar="NAME[=DEFAULT]",
    multiple=True,
    help="A place ${NAME} in the prompt, required where it has no default; may be repeated.",
)


@click.group("command")
def command() -> None:
    """Named prompts with places in them: $ARGUMENTS for all that is given, $1, $2... by place, ${NAME} by name.

    \b
        orchestrator command add review 'Review $ARGUMENTS as a strict colleague would' --description "Reviews files"
        orchestrator add --use review --arguments "src/cart.py" --dir ~/src/shop
    """  # noqa: D301 - click reads the mark itself


@command.command("list")
@click.option("--search", "q", help="Words in name or description.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at the most.")
@connected
def list_commands(session: Session, q: str | None, limit: int) -> None:
    """List commands, by name."""
    from orchestrator.cli import prompts, timetable

    page = session.client.commands(q=q, limit=limit)
    none = "no commands: orchestrator command add NAME 'PROMPT'"
    session.put(page, prompts.commands(page.items) if page.items else none, *timetable.rest(page))


@command.command()
@name
@connected
def show(session: Session, name: str) -> None:
    """Show a command with its prompt."""
    from orchestrator.cli import prompts

    found = session.client.get_command(name)
    session.put(found, *prompts.whole(found))


@command.command()
@name
@click.argument("prompt", required=False)
@file_option
@description_option
@argument_option
@connected
def add(
    session: Session, name: str, prompt: str | None, file: Path | None, description: str | None, arguments: tuple[str, ...]
) -> None:
    """Save a command; it is a Markdown file in the folder of the server's commands."""
    body = _body(prompt, file)
    if body is None:
        raise click.UsageError(f"what is {name} to say? Give the prompt, or --file FILE")
    made = session.client.create_command(name=name, body=body, arguments=_arguments(arguments), description=description or "")
    session.put(made, f"command {made.name} is saved")


@command.command()
@name
@click.argument("prompt", required=False)
@file_option
@description_option
@argument_option
@click.option("--editor", is_flag=True, help="Change the prompt in $EDITOR.")
@connected
def change(session: Session, name: str, prompt: str | None, file: Path | None, *, editor: bool, **options: Any) -> None:
    """Change a command; what is not said stays. --argument says all of its arguments anew."""
    given: dict[str, Any] = {}
    if (body := _body(prompt, file)) is not None:
        given["body"] = body
    if editor:
        if given:
            raise click.UsageError("--editor and a prompt both say what it says; use one of them")
        given["body"] = _edited(session.client.get_command(name).body)
    if options["description"] is not None:
        given["description"] = options["description"]
    if options["arguments"]:
        given["arguments"] = _arguments(options["arguments"])
    if not given:
        raise click.UsageError("nothing to change: give a prompt, --file, --editor, --description or --argument")
    changed = session.client.update_command(name, **given)
    session.put(changed, f"command {changed.name} is saved")


@command.command()
@click.argument("names", metavar="COMMAND...", nargs=-1, required=True)
@connected
def delete(session: Session, names: tuple[str, ...]) -> None:
    """Delete commands; tasks that were created with them keep their prompts."""
    for one in names:
        session.client.delete_command(one)
        session.put({"name": one, "deleted": True}, f"command {one} is deleted")


@command.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Have commands of the same name be as in the files; else they stay as they are.")
@click.option("--dry-run", is_flag=True, help="Only show what would be made of them.")
@connected
def import_commands(session: Session, files: tuple[Path, ...], *, replace: bool, dry_run: bool) -> None:
    """Take over commands: lists of them in JSON or YAML, and Markdown files as agents have them for slash commands.

    What cannot be taken over is named with the reason, and the exit code is 1 then.
    """
    from orchestrator.cli import prompts
    from orchestrator.cli.taking import taken

    fates = [fate for file in files for fate in taken(file, session.client, replace=replace, dry=dry_run)]
    session.put(fates, prompts.fates(fates))
    if any(one.fate == "refused" for one in fates):
        sys.exit(Exit.FAILED)


def _body(prompt: str | None, file: Path | None) -> str | None:
    if prompt is not None and file is not None:
        raise click.UsageError("a prompt and --file both say what it says; use one of them")
    if file is None:
        return prompt
    return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")


def _edited(body: str) -> str:
    changed = click.edit(body, extension=".md")
    if changed is None or changed == body:
        raise click.UsageError("nothing was changed in the editor")
    return changed


def _arguments(given: tuple[str, ...]) -> list[Any]:
    from worker_client.contract.commands import Argument

    parts = [one.partition("=") for one in given]
    return [
        Argument(name=name, default=default) if equals else Argument(name=name, required=True) for name, equals, default in parts
    ]
