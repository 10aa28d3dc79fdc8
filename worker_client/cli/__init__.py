"""`orchestrator-worker`: runs workers from the command line, and looks after what they leave."""

import rich_click as click

from worker_client.cli.run import run
from worker_client.cli.tidy import tidy


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "ORCHESTRATOR"})
@click.version_option(None, "-V", "--version", package_name="task-orchestrator", message="%(prog)s %(version)s")
def main() -> None:
    """Work on the tasks of an orchestrator."""


main.add_command(run)
main.add_command(tidy)
