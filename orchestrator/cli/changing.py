"""Commands that change tasks: cancel, retry, answer, approve, reject."""

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import rich_click as click

from orchestrator.cli.exits import Exit
from orchestrator.cli.options import TASK_ID, Session, connected

if TYPE_CHECKING:
    from worker_client.contract.tasks import Task

ids = click.argument("task_ids", metavar="ID...", type=TASK_ID, nargs=-1, required=True)
reason = click.option("--reason", help="Is kept with the task.")


@click.command()
@ids
@reason
@connected
def cancel(session: Session, task_ids: tuple[int, ...], reason: str | None) -> None:
    """End tasks; the worker of one that runs is told to stop at once."""
    _each(session, task_ids, lambda task_id: session.client.cancel(task_id, reason=reason))


@click.command()
@ids
@connected
def retry(session: Session, task_ids: tuple[int, ...]) -> None:
    """Begin ended tasks again, with all their attempts."""
    _each(session, task_ids, session.client.retry)


@click.command()
@click.argument("task_id", metavar="ID", type=TASK_ID)
@click.argument("text")
@connected
def answer(session: Session, task_id: int, text: str) -> None:
    """Answer the question that a task is parked for."""
    _each(session, [task_id], lambda one: session.client.answer(one, answer=text))


@click.command()
@ids
@connected
def approve(session: Session, task_ids: tuple[int, ...]) -> None:
    """Let tasks run that wait for approval."""
    _each(session, task_ids, session.client.approve)


@click.command()
@ids
@reason
@connected
def reject(session: Session, task_ids: tuple[int, ...], reason: str | None) -> None:
    """Cancel tasks instead of approving them."""
    _each(session, task_ids, lambda task_id: session.client.reject(task_id, reason=reason))


def _each(session: Session, task_ids: Iterable[int], change: "Callable[[int], Task]") -> None:
    """Change one after the other; the exit code is that of the first that was refused."""
    from rich.text import Text

    from orchestrator.cli import output
    from orchestrator.cli.exits import refusals

    codes = []
    for task_id in task_ids:
        try:
            with refusals(as_json=session.as_json):
                task = change(task_id)
        except SystemExit as refused:
            codes.append(refused.code)
            if refused.code in {Exit.UNREACHABLE, Exit.INTERRUPTED}:
                break
            continue
        stopping = ", told to stop" if task.status == "running" and task.cancel_requested_at else ""
        session.put(task, Text.assemble("task ", (str(task.id), "bold"), " ", output.status(task.status), stopping))
    if codes:
        sys.exit(codes[0])
