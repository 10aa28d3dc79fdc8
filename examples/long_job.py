"""Work of hours: it tells how far it is, goes on where it was after a crash, and stops when it is told to.

    python examples/long_job.py /srv/shop

A task of kind `count` has a number as its prompt. Kill the worker in the middle: the next one goes on from the checkpoint.
"""

import sys

from worker_client import Released, RunContext, Worker


def main(*directories: str, seconds: float = 0.01) -> None:
    """Work until SIGTERM."""
    worker = Worker(directories=directories, lease_seconds=15)

    @worker.handler("count")
    def count(context: RunContext) -> dict[str, int] | Released:
        goal = int(context.task.prompt or 0)
        done = begun = (context.task.checkpoint or {}).get("done", 0)
        while done < goal:
            # Instead of a sleep: it ends at once when the task is cancelled, or the worker is told to stop.
            if context.cancelled.wait(seconds):
                return Released(f"stopped at {done}")
            done += 1
            if done % 10 == 0:
                context.progress(100 * done / goal, f"{done} of {goal}")
                context.checkpoint({"done": done})
        return {"done": done, "of_it_now": done - begun}

    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
