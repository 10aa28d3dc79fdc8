"""Put a task in, wait for its end, and use what came out.

    python examples/submit_and_wait.py /srv/shop "Summarise the last ten commits"

The same call twice is one task: `key` says so, so that a program that crashed in between may simply run again.
"""

import hashlib
import sys

from worker_client import Client, Status


def main(directory: str, prompt: str) -> int:
    """Return the exit code: 0 when the task was completed."""
    key = hashlib.sha256(f"{directory}\n{prompt}".encode()).hexdigest()
    with Client() as client:  # ORCHESTRATOR_URL, ORCHESTRATOR_API_KEY
        task = client.create(work_directory=directory, prompt=prompt, key=key)
        print(f"task {task.id} is {task.status}, {'created' if task.created else 'known already'}", file=sys.stderr)
        try:
            ended = client.wait(task.id, within=3600)
        except TimeoutError:
            print(client.why(task.id).summary, file=sys.stderr)
            return 2
        if ended.status is not Status.COMPLETED:
            print(f"{ended.status}: {ended.error.message if ended.error else ended.reason}", file=sys.stderr)
            return 1
        print(ended.result)
        return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
