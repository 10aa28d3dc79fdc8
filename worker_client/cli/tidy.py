"""`orchestrator-worker tidy`."""

import asyncio
import sys

import rich_click as click

from worker_client.cli.run import option


@click.command()
@option("--url", help="Address of the server.  [default: http://127.0.0.1:8080]")
@option("--api-key", help="Key for the server; the environment variable keeps it out of the process list.")
def tidy(url: str | None, api_key: str | None) -> None:
    """Remove the worktrees of tasks that are over, unless something would be lost; say of each that stays why it does.

    A worker does the same when it starts. Only worktrees of tasks of this server are looked at, and only on this machine.
    Exit codes: 0 done, 1 the server can't be asked.
    """
    from worker_client.crew import Exit
    from worker_client.errors import ConfigurationError, OrchestratorError

    try:
        asyncio.run(_swept(url, api_key))
    except (ConfigurationError, OrchestratorError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(Exit.FAILED)


async def _swept(url: str | None, api_key: str | None) -> None:
    from worker_client.client import AsyncClient
    from worker_client.state import state_folder
    from worker_client.worktrees import Worktrees

    found = 0
    async with AsyncClient(url, api_key) as client:
        async for record, reason in Worktrees(state_folder() / "worktrees").sweep(client):
            found += 1
            fate = "removed" if reason is None else f"stays: {reason}"
            click.echo(f"task {record.task_id}  {record.branch}  {record.path}  {fate}")
        if not found:
            click.echo(f"no worktrees of tasks of {client.url} are on this machine")
