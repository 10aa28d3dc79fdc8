"""`orchestrator demo`."""

import asyncio
import os
import sys

import rich_click as click

from orchestrator.cli.exits import Exit, fail, refusals


@click.command()
@click.option("--exit", "leave", is_flag=True, help="End when all is done; exit code 1 when something did not go as it should.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, show_default="a free one", help="Where the demo's server listens."
)
def demo(port: int, leave: bool) -> None:
    """Show what this is: a server, a worker and real tasks, in a temporary folder."""
    if os.name == "nt":
        fail("the demo's tasks are written for a POSIX shell; try it in WSL")
    from orchestrator.cli.demo.play import play
    from orchestrator.cli.demo.stage import StageError

    with refusals():
        try:
            outcome = asyncio.run(play(port=port, leave=leave))
        except StageError as error:
            fail(str(error), Exit.FAILED)
    sys.exit(outcome)
