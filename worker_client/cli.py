"""`orchestrator-worker`: runs a worker from the command line."""

import sys
from pathlib import Path
from typing import Any

import rich_click as click

DIRECTORY = click.Path(path_type=Path)
LOG_FORMATS = ["text", "json"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "ORCHESTRATOR"})
def main() -> None:
    """Work on the tasks of an orchestrator."""


@main.command()
@click.option(
    "--dir",
    "directories",
    multiple=True,
    required=True,
    type=DIRECTORY,
    envvar="ORCHESTRATOR_DIR",
    help="Work in this directory; may be repeated.",
)
@click.option(
    "--recursive/--no-recursive",
    default=True,
    envvar="ORCHESTRATOR_RECURSIVE",
    show_default=True,
    help="Work in the directories below, too.",
)
@click.option(
    "--allow-path",
    "fence",
    multiple=True,
    type=DIRECTORY,
    envvar="ORCHESTRATOR_ALLOW_PATH",
    help="Refuse every --dir that isn't below one of these.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=1,
    envvar="ORCHESTRATOR_CONCURRENCY",
    show_default=True,
    help="How many tasks at a time.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    envvar="ORCHESTRATOR_KIND",
    help="Ask for tasks of this kind only; may be repeated. Default: all it can run.",
)
@click.option("--url", envvar="ORCHESTRATOR_URL", help="Address of the server.  [default: http://127.0.0.1:8080]")
@click.option(
    "--api-key",
    envvar="ORCHESTRATOR_API_KEY",
    help="Key for the server; the environment variable keeps it out of the process list.",
)
@click.option("--host", envvar="ORCHESTRATOR_HOST", help="Name of this machine in tasks.  [default: the machine's own]")
@click.option(
    "--worker-id",
    envvar="ORCHESTRATOR_WORKER_ID",
    help="Name of this process, unlike any other's.  [default: host, process id, random]",
)
@click.option(
    "--lease-seconds",
    type=click.FloatRange(2, 86_400),
    default=60.0,
    envvar="ORCHESTRATOR_LEASE_SECONDS",
    show_default=True,
    help="A worker that dies is noticed after so long.",
)
@click.option(
    "--drain-seconds",
    type=click.FloatRange(0),
    default=60.0,
    envvar="ORCHESTRATOR_DRAIN_SECONDS",
    show_default=True,
    help="After SIGTERM or SIGINT, let tasks run on for so long, then give them back.",
)
@click.option("--once", is_flag=True, envvar="ORCHESTRATOR_ONCE", help="Do what waits, and end.")
@click.option("--max-tasks", type=click.IntRange(min=1), envvar="ORCHESTRATOR_MAX_TASKS", help="End after so many tasks.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    envvar="ORCHESTRATOR_LOG_LEVEL",
    show_default=True,
)
@click.option("--log-format", type=click.Choice(LOG_FORMATS), default="text", envvar="ORCHESTRATOR_LOG_FORMAT", show_default=True)
def run(
    kinds: tuple[str, ...], once: bool, url: str | None, api_key: str | None, log_level: str, log_format: str, **options: Any
) -> None:
    """Ask for tasks and run them, until SIGTERM or SIGINT.

    A list in an environment variable is separated by spaces; for paths by colons (semicolons on Windows).
    Exit codes: 0 drained, 1 it could not work as it was set up, 2 wrong usage.
    """
    from worker_client.client import AsyncClient
    from worker_client.errors import ConfigurationError, OrchestratorError
    from worker_client.runners.script import ScriptRunner
    from worker_client.worker import Worker

    _log_to_stderr(log_level, log_format)
    runners = [ScriptRunner()]
    known = [runner.kind for runner in runners]
    if unknown := sorted(set(kinds).difference(known)):
        raise click.UsageError(f"this worker can't run tasks of kind {', '.join(unknown)}; it can run: {', '.join(known)}")
    try:
        Worker(AsyncClient(url, api_key), runners=runners, kinds=kinds or None, until_idle=once, **options).run()
    except (ConfigurationError, OrchestratorError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def _log_to_stderr(level: str, form: str) -> None:
    import json
    import logging

    class JsonLines(logging.Formatter):
        """One object a line."""

        def format(self, record: logging.LogRecord) -> str:
            fields = {
                "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": record.getMessage(),
            }
            if record.exc_info:
                fields["exception"] = self.formatException(record.exc_info)
            return json.dumps(fields)

    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)


if __name__ == "__main__":
    main()
