"""`orchestrator wait`: until tasks, or runs of workflows, have ended."""

import sys
from typing import TYPE_CHECKING

import rich_click as click

from orchestrator.cli.exits import Exit, note
from orchestrator.cli.options import TASK_ID, Session, connected

if TYPE_CHECKING:
    from worker_client.contract.tasks import Task
    from worker_client.contract.workflows import Run

WAIT_SECONDS = 25.0


@click.command()
@click.argument("task_ids", metavar="ID...", type=TASK_ID, nargs=-1, required=True)
@connected
def wait(session: Session, task_ids: tuple[int, ...]) -> None:
    """Wait until tasks have ended; exit code 1 when one of them is not completed."""
    tasks = []
    for task_id in task_ids:
        tasks.append(ended(session, task_id))
        tell(session, tasks[-1])
    if any(task.status != "completed" for task in tasks):
        sys.exit(Exit.FAILED)


def ended(session: Session, task_id: int) -> "Task":
    """The task once it is final; says on stderr when it waits for a person."""
    told = ""
    while True:
        state = session.client.status(task_id, wait=WAIT_SECONDS)
        if state.status.final:
            return session.client.get(task_id)
        if state.status in {"parked", "blocked"} and state.status != told:
            told = state.status
            note(f"task {task_id}: {session.client.why(task_id).summary}")


def run_ended(session: Session, run_id: int) -> "Run":
    """The run once it has ended."""
    while (run := session.client.get_run(run_id, wait=WAIT_SECONDS)).finished_at is None:
        pass
    return run


def tell(session: Session, task: "Task") -> None:
    """Where a task stands, and why."""
    from rich.text import Text

    from orchestrator.cli import output

    words = Text.assemble("task ", (str(task.id), "bold"), " ", output.status(task.status), f" in {task.work_directory}")
    if task.due_at is not None and task.status == "scheduled":
        words.append(f", due {output.moment(task.due_at)}")
    if task.error is not None and task.status == "failed":
        words.append(f"\n{task.error.type}: {task.error.message}")
    if task.status in {"waiting", "blocked"} and not session.as_json and output.console().is_terminal:
        words.append(f"\n{session.client.why(task.id).summary}", "dim")
    session.put(task, words)
