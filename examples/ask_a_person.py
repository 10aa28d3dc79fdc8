"""A task that needs a person gives its place up until the person has answered.

    python examples/ask_a_person.py /srv/shop

A task of kind `deploy` asks first. `orchestrator answer ID staging`, or a click on the dashboard, brings it back, to any worker.
"""

import sys

from worker_client import Parked, ParkReason, RunContext, Worker


def main(*directories: str) -> None:
    """Work until SIGTERM."""
    worker = Worker(directories=directories)

    @worker.handler("deploy")
    def deploy(context: RunContext) -> str | Parked:
        where = context.task.answer
        if where is None:
            question = f"Where to, with {context.task.prompt}?"
            return Parked(reason=ParkReason.QUESTION, question=question, options=["staging", "production"])
        context.log(f"deploying to {where}")
        return f"{context.task.prompt} is on {where}"

    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
