"""`orchestrator`: the server and its clients on the command line; each command imports what it needs when it runs."""

import rich_click as click

from orchestrator import __version__
from orchestrator.cli import (
    adding,
    addresses,
    apply,
    audit,
    backup,
    changing,
    commands,
    copying,
    costs,
    database,
    directories,
    following,
    holding,
    importing,
    keys,
    mcp,
    reading,
    reload,
    runs,
    scheduler,
    schedules,
    server,
    triggers,
    workflows,
)
from orchestrator.cli.demo import command
from orchestrator.cli.exits import EPILOG

SERVER = [server.serve, server.migrate, database.db, backup.backup, copying.copy, server.openapi, command.demo, mcp.mcp]
TASKS = [adding.add, reading.list_tasks, reading.show, reading.why, following.logs, following.watch]
CHANGES = [changing.cancel, changing.retry, changing.answer, changing.approve, changing.reject]
OTHERS = [reading.workers, holding.drain, holding.accounts, reading.stats, costs.costs, directories.directory]
BY_ITSELF = [
    schedules.schedule, scheduler.scheduler, workflows.workflow, runs.run, triggers.trigger, commands.command, apply.apply,
    importing.imports,
]  # fmt: skip
DOORS = [keys.keys, addresses.addresses, audit.audit, reload.reload]


@click.group(
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "ORCHESTRATOR", "max_content_width": 120},
)
@click.command_panel("Server", commands=[str(one.name) for one in SERVER])
@click.command_panel("Tasks", commands=[str(one.name) for one in TASKS])
@click.command_panel("Changing tasks", commands=[str(one.name) for one in CHANGES])
@click.command_panel("Work by itself", commands=[str(one.name) for one in BY_ITSELF])
@click.command_panel("Around them", commands=[str(one.name) for one in OTHERS])
@click.command_panel("Who may do what", commands=[str(one.name) for one in DOORS])
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def main() -> None:
    """A durable queue per work directory, that coding agents and plain workers pull from.

    `orchestrator demo` shows it. `orchestrator serve` starts the server, `orchestrator add "Fix the build" --dir .` queues a
    task, `orchestrator-worker run --dir .` works on it.
    """


for one in (*SERVER, *TASKS, *CHANGES, *BY_ITSELF, *OTHERS, *DOORS):
    main.add_command(one)
