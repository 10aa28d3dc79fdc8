"""`python -m orchestrator.cli` is `orchestrator`."""

from orchestrator.cli import main

main(prog_name="orchestrator")
