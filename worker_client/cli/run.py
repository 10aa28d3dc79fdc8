"""`orchestrator-worker run`."""

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

DIRECTORY = click.Path(path_type=Path)
Command = TypeVar("Command", bound=Callable[..., Any])


class Assigned(click.ParamType[tuple[str, str]]):
    """NAME=VALUE."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Both halves."""
        if isinstance(value, tuple):
            return value
        name, sign, text = str(value).partition("=")
        if not (name and sign and text):
            self.fail(f"{value!r} is not of the form NAME=VALUE", param, ctx)
        return name, text


def option(*names: str, **facts: Any) -> Callable[[Command], Command]:
    """An option that has its own variable, ORCHESTRATOR_ and its name; what repeats takes a list there."""
    variable = "ORCHESTRATOR_" + names[0].partition("/")[0].removeprefix("--").upper().replace("-", "_")
    return click.option(*names, envvar=variable, **facts)


@click.command()
@option("--dir", "directories", multiple=True, required=True, type=DIRECTORY, help="Work in this directory; may be repeated.")
@option("--recursive/--no-recursive", default=True, show_default=True, help="Work in the directories below, too.")
@option("--allow-path", "fence", multiple=True, type=DIRECTORY, help="Refuse every --dir that isn't below one of these.")
@option(
    "--kind",
    "kinds",
    multiple=True,
    help="Besides what --agent and --function stand for, do tasks of this kind; may be repeated.  [default: script]",
)
@option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many tasks at a time, of each agent and of the other kinds together.",
)
@option(
    "--agent",
    "agents",
    multiple=True,
    help="Do tasks with this agent: claude, codex, ..., one of the settings, or auto (all found on PATH); may be repeated.",
)
@option(
    "--account",
    "accounts",
    multiple=True,
    type=Assigned(),
    metavar="AGENT=NAME",
    help="What the quota of an agent hangs on: all who name it wait together.  [default: AGENT:USER@HOST]",
)
@option("--worktree", is_flag=True, help="Have each task of an agent done in a git worktree and branch of its own.")
@option(
    "--function",
    "functions",
    multiple=True,
    metavar="[NAME=]MODULE:FUNCTION",
    help="Do tasks of kind function that name this one, or builtin:NAME of those that come with it; may be repeated.",
)
@option(
    "--allow-private-addresses",
    "private_addresses",
    multiple=True,
    metavar="NETWORK",
    help="Let http tasks connect to this network, such as 10.0.0.0/8, or to all, besides public addresses; may be repeated.",
)
@option(
    "--stall-seconds", type=click.FloatRange(min=1), help="An agent that prints nothing for so long is stuck.  [default: 900]"
)
@option("--config", type=DIRECTORY, help="File of the worker's settings.  [default: ~/.config/task-orchestrator/worker.toml]")
@option("--url", help="Address of the server.  [default: http://127.0.0.1:8080]")
@option("--api-key", help="Key for the server; the environment variable keeps it out of the process list.")
@option("--host", help="Name of this machine in tasks.  [default: the machine's own]")
@option("--worker-id", help="Name of this process, unlike any other's.  [default: host, process id, random]")
@option(
    "--lease-seconds",
    type=click.FloatRange(2, 86_400),
    default=60.0,
    show_default=True,
    help="A worker that dies is noticed after so long.",
)
@option(
    "--drain-seconds",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="After SIGTERM or SIGINT, let tasks run on for so long, then give them back.",
)
@option("--once", is_flag=True, help="Do what waits, and end.")
@option("--max-tasks", type=click.IntRange(min=1), help="End after so many tasks.")
@option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="From which level on it logs.",
)
@option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How it logs to standard error."
)
@option("--live", is_flag=True, help="At a terminal, show what is being done; elsewhere log as always.")
@click.option("--leash", is_flag=True, hidden=True, help="End at once when standard input ends.")
def run(once: bool, max_tasks: int | None, log_level: str, log_format: str, live: bool, leash: bool, **options: Any) -> None:
    """Ask for tasks and run them, until SIGTERM or SIGINT; at the second signal give everything back at once.

    A list in an environment variable is separated by spaces; for paths by colons (semicolons on Windows).
    Exit codes: 0 drained, 1 it could not work as it was set up, 2 wrong usage, 3 an agent can't work (missing, not logged in).
    """
    from worker_client import tracing
    from worker_client.cli import logs
    from worker_client.crew import Crew, Exit
    from worker_client.errors import ConfigurationError
    from worker_client.hiring import UnknownNameError, Wanted, hire
    from worker_client.shift import Shift

    logs.to_stderr(log_level, log_format)
    shift = Shift(until_idle=once, max_tasks=max_tasks)
    try:
        with tracing.exporting("orchestrator-worker"):
            crew = Crew(hire(Wanted(**options), shift), shift)
            ended = crew.run(leashed=leash, beside=_picture() if live else None)
    except UnknownNameError as error:
        raise click.UsageError(str(error)) from None
    except ConfigurationError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(Exit.FAILED)
    sys.exit(ended)


def _picture() -> Callable[[Any], Coroutine[Any, Any, None]] | None:
    """What shows it at this terminal, if it is one."""
    from functools import partial

    from rich.console import Console

    from worker_client.cli.live import show

    console = Console(stderr=True, highlight=False, emoji=False, markup=False)
    return partial(show, console=console) if console.is_terminal else None
