"""`python -m worker_client.cli`."""

from worker_client.cli import main

main(prog_name="orchestrator-worker")
