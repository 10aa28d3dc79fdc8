"""A worker of your own program: shell commands, and functions of yours, in some directories.

    python examples/script_worker.py /srv/shop

`orchestrator add --command "make test" --dir /srv/shop` gives it a shell command, a task of kind `thumbnail` calls the function
below. SIGTERM lets what runs end; what has not ended after `drain_seconds` goes back to the queue, and costs no attempt.
"""

import logging
import sys
from pathlib import Path

from worker_client import Failed, RunContext, ScriptRunner, Worker


def main(*directories: str) -> None:
    """Work until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    worker = Worker(directories=directories, runners=[ScriptRunner()], concurrency=2, drain_seconds=30)

    @worker.handler("thumbnail")
    def thumbnail(context: RunContext) -> dict[str, int] | Failed:
        """Its result is what the function returns; an exception is a failure that is tried again after the backoff."""
        picture = Path(context.directory) / (context.task.prompt or "")
        if not picture.is_file():
            # Trying again would not help.
            return Failed(type="NoSuchPicture", message=f"there is no {picture}", retryable=False)
        context.log(f"reading {picture.name}")
        return {"bytes": picture.stat().st_size}

    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
