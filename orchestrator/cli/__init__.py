"""`orchestrator`: the server and its clients on the command line; a command is loaded with what it needs when it runs."""

import os
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from itertools import chain
from typing import Any, Final

import rich_click as click

from orchestrator import __version__
from orchestrator.cli.exits import EPILOG, fail

PANELS: Final = {
    "Server": {
        "serve": "server.serve",
        "migrate": "server.migrate",
        "db": "database.db",
        "backup": "backup.backup",
        "copy": "copying.copy",
        "openapi": "server.openapi",
        "monitoring": "monitoring.monitoring",
        "demo": "demo.command.demo",
        "mcp": "mcp.mcp",
    },
    "Tasks": {
        "add": "adding.add",
        "list": "reading.list_tasks",
        "show": "reading.show",
        "wait": "waiting.wait",
        "why": "reading.why",
        "advice": "advising.advice",
        "logs": "following.logs",
        "watch": "following.watch",
    },
    "Changing tasks": {
        "cancel": "changing.cancel",
        "retry": "changing.retry",
        "answer": "changing.answer",
        "approve": "changing.approve",
        "reject": "changing.reject",
    },
    "Work by itself": {
        "schedule": "schedules.schedule",
        "scheduler": "scheduler.scheduler",
        "workflow": "workflows.workflow",
        "run": "runs.run",
        "trigger": "triggers.trigger",
        "command": "commands.command",
        "apply": "apply.apply",
        "import": "importing.imports",
        "notify": "notify.notify",
    },
    "Around them": {
        "workers": "reading.workers",
        "drain": "holding.drain",
        "accounts": "holding.accounts",
        "stats": "reading.stats",
        "costs": "costs.costs",
        "directory": "directories.directory",
    },
    "Who may do what": {
        "keys": "keys.keys",
        "addresses": "addresses.addresses",
        "audit": "audit.audit",
        "reload": "reload.reload",
        "server-logs": "server_logs.server_logs",
    },
}
"""The commands as the help shows them: where each of them is, below this package."""


class _Commands(MutableMapping[str, click.Command]):
    """Loads the one that is asked for: a server, or a script that adds a task, needs none of the others."""

    def __init__(self) -> None:
        self._places = dict(chain.from_iterable(panel.items() for panel in PANELS.values()))

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = self._places[name].rpartition(".")
        found: click.Command = getattr(import_module(f"{__name__}.{module}"), attribute)
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        raise TypeError(f"write down where {name} is")

    def __delitem__(self, name: str) -> None:
        del self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class _Program(click.RichGroup):
    """Says what to install when a command needs more than the client."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if (error.name or __name__).partition(".")[0] in {"orchestrator", "worker_client"}:
                raise
            fail(f"the server's libraries are not installed here: pip install 'task-orchestrator[server]' ({error})")


@click.group(
    cls=_Program,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "ORCHESTRATOR", "max_content_width": 120},
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """A durable queue per work directory, that coding agents and plain workers pull from.

    `orchestrator demo` shows it. `orchestrator serve` starts the server, `orchestrator add "Fix the build" --dir .` queues a
    task, `orchestrator-worker run --dir .` works on it.
    """
    if ctx.invoked_subcommand not in PANELS["Server"] and os.environ.get("ORCHESTRATOR_TRACING"):
        from orchestrator.cli.traced import traced

        ctx.with_resource(traced(str(ctx.invoked_subcommand)))


for title, panel in PANELS.items():
    click.command_panel(title, commands=list(panel))(main)
# A group that is made with them looks at each.
main.commands = _Commands()
