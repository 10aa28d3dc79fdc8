"""Writes docs/reference/worker-cli.md from the command itself: `python -m docs`."""

from collections.abc import Mapping

from docs.reference.commands import commands, section
from docs.writing import table
from worker_client.cli import main
from worker_client.crew import Exit

MEANINGS = {
    Exit.DRAINED: "drained",
    Exit.FAILED: "it could not work as it was set up",
    Exit.USAGE: "wrong usage",
    Exit.UNABLE: "an agent can't work: it is missing, or not logged in",
}


def pages() -> Mapping[str, str]:
    """The page by its place below docs/reference."""
    lines = [
        "# Commands of orchestrator-worker",
        "",
        "<!-- Written by docs/reference/worker_cli.py from the command; a test compares them. -->",
        "",
        "[Workers](../workers.md#the-program) explains how to run it. Every option has a variable: `ORCHESTRATOR_` and its name,",
        "such as `ORCHESTRATOR_LEASE_SECONDS`. What may be repeated is separated by spaces there, paths by colons.",
        "",
    ]
    for name, command in commands(main, "orchestrator-worker"):
        lines += section(name, command)
    lines += ["## Exit codes", "", *table(("code", "means"), ((str(int(code)), MEANINGS[code]) for code in Exit)), ""]
    return {"worker-cli.md": "\n".join(lines)}
