"""`orchestrator mcp`: MCP on standard input and output."""

from pathlib import Path

import rich_click as click

from orchestrator.cli.configured import config_option, database_option
from orchestrator.cli.exits import refusals
from orchestrator.cli.finding import found
from orchestrator.cli.options import key_option, url_option, work_path


@click.command()
@url_option
@key_option
@database_option
@config_option
@click.option("--host", envvar="ORCHESTRATOR_HOST", show_envvar=True, help="Name of this machine in tasks.  [default: its own]")
def mcp(url: str | None, api_key: str | None, database: str | None, config: Path | None, host: str | None) -> None:
    """Speak MCP on standard input and output, for a coding agent or an IDE that starts this command.

    Talks to the server at --url; without it to the one that runs on this machine, and starts one when there is none, which then
    goes on when this command ends.
    """
    with refusals():
        where = found(url, api_key, database, config)
    import asyncio
    import socket

    import httpx

    from orchestrator.mcp import stdio
    from worker_client.client import AsyncClient
    from worker_client.exchange import Retries

    transport = None if where.trusting is None else httpx.AsyncHTTPTransport(verify=where.trusting)
    # The client of the protocol waits, and gives up after a minute.
    client = AsyncClient(where.url, where.key, transport=transport, retries=Retries(attempts=5, seconds=8.0))
    asyncio.run(stdio.run(client, host=host or socket.gethostname(), path=work_path))
