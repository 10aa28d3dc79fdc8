"""`orchestrator-worker`: runs workers from the command line."""

import rich_click as click

from worker_client.cli.run import run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "ORCHESTRATOR"})
def main() -> None:
    """Work on the tasks of an orchestrator."""


main.add_command(run)
