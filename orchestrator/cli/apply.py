"""`orchestrator apply`: schedules, workflows, commands and rules of notifications as files declare them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.exits import Exit, worded
from orchestrator.cli.options import Session, connected

if TYPE_CHECKING:
    from rich.text import Text

    from orchestrator.cli.applying.plan import Change, Step

SIGNS = {
    "create": ("+", "green"),
    "change": ("~", "yellow"),
    "delete": ("-", "red"),
    "deploy": (">", "cyan"),
    "undeploy": ("<", "cyan"),
}
LONG = 60


@click.command()
@click.option(
    "-f",
    "--file",
    "files",
    metavar="DIR|FILE",
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
    multiple=True,
    required=True,
    help="A folder with all below it, a file in YAML, JSON or TOML, or - for standard input; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would change; exit code 8 when something would.")
@click.option("--label", help="Marks what is created as kept by these files.")
@click.option("--prune", is_flag=True, help="Delete what was created with this --label and is in the files no longer.")
@connected
def apply(session: Session, files: tuple[Path, ...], label: str | None, *, dry_run: bool, prune: bool) -> None:
    """Make schedules, workflows, commands and notification rules as files declare them; a second time nothing changes.

    Everything is read and checked before anything is changed. What the files don't name stays, unless --prune says otherwise.

    \b
        orchestrator apply -f ./automation --dry-run
        orchestrator apply -f ./automation --label shop --prune
    """  # noqa: D301 - click reads the mark itself
    from orchestrator.cli.applying.checking import checked
    from orchestrator.cli.applying.declared import declared
    from orchestrator.cli.applying.plan import planned
    from orchestrator.cli.applying.present import present

    if prune and not label:
        raise click.UsageError("--prune needs --label NAME: it deletes only what was created with that label")
    wanted = declared(files)
    zone = checked(session.client, wanted)
    there = present(session.client, wanted)
    steps = planned(wanted, there, label=label, prune=prune, zone=zone)
    if not dry_run:
        _carry_out(session, steps, {one.name: one.id for one in there.values() if one.kind == "workflow"})
    _tell(session, steps, len(wanted), dry_run=dry_run)
    if dry_run and steps:
        sys.exit(Exit.DIFFERS)


def _carry_out(session: Session, steps: "list[Step]", ids: dict[str, str]) -> None:
    from orchestrator.cli.applying.checking import placed
    from worker_client.errors import OrchestratorError

    for place, step in enumerate(steps):
        try:
            step.do(session.client, ids)
        except OrchestratorError as error:
            change = step.change
            done = f"; {place} of {len(steps)} changes were made before, apply again when it is mended" if place else ""
            error.message = f"{change.action} {change.kind} {change.name}: {worded(error)}{done}"
            error.details.pop("field", None)
            raise placed(error, change.place) from None


def _tell(session: Session, steps: "list[Step]", count: int, *, dry_run: bool) -> None:
    changes = [step.change for step in steps]
    document = {"changes": changes, "declared": count, "dry_run": dry_run}
    session.put(document, *(_line(one) for one in changes), _sum(changes, count, dry_run=dry_run))


def _sum(changes: "list[Change]", count: int, *, dry_run: bool) -> str:
    if not changes:
        return f"nothing to do: {count} definition{'s are' if count > 1 else ' is'} as declared"
    told = f"{len(changes)} change{'s' if len(changes) > 1 else ''}"
    return f"{told} to make; nothing was changed (dry run)" if dry_run else f"{told} made"


def _line(change: "Change") -> "Text":
    from rich.text import Text

    sign, style = SIGNS[change.action]
    line = Text(f"{sign} {change.action} {change.kind} {change.name}", style=style)
    for field in change.fields:
        line.append(f"\n    {field.field}: {_value(field.before)} -> {_value(field.after)}", "default")
    return line


def _value(value: Any) -> str:
    import msgspec

    if value is None:
        return "none"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONG else text[: LONG - 1] + "…"
