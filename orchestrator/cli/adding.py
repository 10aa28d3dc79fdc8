"""`orchestrator add`: queue a task, and wait for it if told to."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.exits import Exit, note
from orchestrator.cli.options import PRIORITIES, TASK_ID, Session, connected, duration, json_or_text, pair, time, work_path
from orchestrator.cli.waiting import ended, tell

if TYPE_CHECKING:
    from worker_client.contract.tasks import Task

TASK_OPTIONS = (
    click.option(
        "--dir",
        "directory",
        default=".",
        show_default=True,
        envvar="ORCHESTRATOR_WORK_DIRECTORY",
        show_envvar=True,
        help="The work directory; made absolute, symlinks resolved.",
    ),
    click.option(
        "--command",
        "--script",
        "script",
        help="Run this in a shell, instead of giving the prompt to an agent (kind script).",
    ),
    click.option("--use", metavar="NAME", help="Take this command as the prompt; `orchestrator command list` shows them."),
    click.option("--arguments", metavar="TEXT", help="With --use: what its $ARGUMENTS, $1, $2... stand for."),
    click.option(
        "--argument", "named", metavar="NAME=VALUE", type=pair, multiple=True, help="With --use: one by name; may be repeated."
    ),
    click.option("--title", help="What lists call it.  [default: the first words of the prompt]"),
    click.option(
        "--priority", type=click.Choice(PRIORITIES), default="normal", show_default=True, help="A head start over others."
    ),
    click.option("--tag", "tags", multiple=True, help="May be repeated."),
    click.option("--kind", help="Who can do it.  [default: agent; script with --command]"),
    click.option("--agent", help="Which agent works on the prompt, such as claude or codex."),
    click.option("--model", help="The agent's model."),
    click.option("--verify", help="A shell command that must end well for the task to be completed."),
    click.option("--session", "session_id", help="Go on in this session of the agent, with the prompt as the next message."),
    click.option("--budget-usd", type=click.FloatRange(min=0), help="Park the task once its attempts have cost so much."),
    click.option("--budget-tokens", type=click.IntRange(min=0), help="Park the task once its attempts have used so many tokens."),
    click.option(
        "--spec", metavar="NAME=VALUE", type=pair, multiple=True, help="A field of the kind's spec; JSON, or else text."
    ),
    click.option("--exclusive", is_flag=True, help="Nobody else works in the directory meanwhile."),
    click.option("--approval", "requires_approval", is_flag=True, help="Wait for `orchestrator approve`."),
    click.option("--host", default="", help="Only on this machine.  [default: any]"),
    click.option("--max-attempts", type=click.IntRange(min=1), help="How often to try.  [default: the server's, 4]"),
    click.option("--timeout", "timeout_seconds", type=duration, help="For one attempt: 90s, 10m.  [default: the server's, 1h]"),
    click.option("--cpu", help="Cores that it may keep busy on average, with all that it starts: 2, 0.5, 500m."),
    click.option("--memory", help="Memory that it may have, with all that it starts: 256Mi, 2Gi."),
    click.option(
        "--env",
        "environment",
        metavar="NAME=VALUE",
        type=pair,
        multiple=True,
        help="NAME=VALUE for the command; may be repeated.",
    ),
)
"""What describes a task, whoever creates it and when."""


def describing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that describe a task."""
    for option in reversed(TASK_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("prompt", required=False)
@describing
@click.option("--after", "depends_on", type=TASK_ID, multiple=True, help="Begin when this task is completed; may be repeated.")
@click.option("--at", "run_at", type=time, help="Not before this time: 2030-01-31T18:00 (local) or 2030-01-31T18:00Z.")
@click.option("--delay", "delay_seconds", type=duration, help="Not before so long from now: 90s, 10m, 1h30m.")
@click.option("--key", help="Names the task: added again with this key, it is created once.")
@click.option("--wait", is_flag=True, help="Until it has ended; exit code 1 when it is not completed.")
@click.option("-q", "--quiet", is_flag=True, help="Print only its id.")
@connected
def add(session: Session, prompt: str | None, *, wait: bool, quiet: bool, **options: Any) -> None:
    """Queue a task: PROMPT for an agent (- reads it from standard input), --use for a command, or --command for a shell.

    \b
        orchestrator add "Fix the failing test" --dir ~/src/shop --priority high
        orchestrator add --use review --arguments "src/cart.py" --dir ~/src/shop
        orchestrator add --command "make test" --after 12 --wait
    """  # noqa: D301 - click reads the mark itself
    if options["run_at"] and options["delay_seconds"] is not None:
        raise click.UsageError("--at and --delay both say when; use one of them")
    options["depends_on"] = list(options["depends_on"])
    created = session.client.create(**task_of(prompt, **options))
    if not created.created:
        note(f"note: task {created.id} was created with this key before")
    task: Task = ended(session, created.id) if wait else created
    if quiet:
        click.echo(task.id)
    else:
        tell(session, task)
    if wait and task.status != "completed":
        sys.exit(Exit.FAILED)


def task_of(prompt: str | None, *, directory: str, **options: Any) -> dict[str, Any]:
    """The fields of CreateTask that were given."""
    prompt = sys.stdin.read() if prompt == "-" else prompt
    if prompt and options["use"]:
        raise click.UsageError("a prompt and --use both say what to do; use one of them, --arguments adds words to a command")
    if not (prompt or options["script"] or options["use"]) and options["kind"] in {None, "agent"}:
        raise click.UsageError(
            'nothing to do: give a prompt ("Fix the build"), a command (--use review), or --command "make test" for a shell'
        )
    path = directory if options["host"] else work_path(directory)
    if not options["host"] and not Path(path).is_dir():
        note(f"note: {path} is no directory on this machine")
    return {**({"prompt": prompt} if prompt else {}), "work_directory": path, **_fields(**options)}


def _fields(
    *, script: str | None, kind: str | None, spec: tuple[tuple[str, str], ...], named: tuple[tuple[str, str], ...], **options: Any
) -> dict[str, Any]:
    fields = {name: json_or_text(value) for name, value in spec}
    of_the_kind = ("agent", "model", "verify", "session_id")
    fields.update({name: value for name in of_the_kind if (value := options.pop(name)) is not None})
    budget = {"cost_usd": options.pop("budget_usd"), "tokens": options.pop("budget_tokens")}
    if any(value is not None for value in budget.values()):
        fields["budget"] = {name: value for name, value in budget.items() if value is not None}
    if script is not None:
        fields["command"] = script
        kind = kind or "script"
    limits = {"cpu": options.pop("cpu"), "memory": options.pop("memory")}
    if any(limits.values()):
        options["resource_limits"] = {name: value for name, value in limits.items() if value}
    if named:
        if options["arguments"]:
            raise click.UsageError("--arguments and --argument both say what the command gets; use one of them")
        options["arguments"] = dict(named)
    if options["arguments"] and not options["use"]:
        raise click.UsageError("--arguments are for a command: name it with --use")
    options["command"] = options.pop("use")
    options["environment"] = dict(options["environment"])
    options["tags"] = list(options["tags"])
    return {
        **{name: value for name, value in options.items() if value not in (None, "", [], {}, False)},
        **({"kind": kind} if kind else {}),
        **({"spec": fields} if fields else {}),
    }
