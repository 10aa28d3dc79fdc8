"""SDK and worker of the task orchestrator."""
