"""`orchestrator run`: the executions of workflows."""

import sys
from typing import Any

import rich_click as click

from orchestrator.cli.exits import Exit
from orchestrator.cli.named import workflow_of
from orchestrator.cli.options import TASK_ID, Session, connected

STATUSES = ("running", "completed", "failed", "cancelled")
ids = click.argument("run_ids", metavar="RUN...", type=TASK_ID, nargs=-1, required=True)


@click.group("run")
def run() -> None:
    """Runs of workflows; `orchestrator workflow run` begins one."""


@run.command("list")
@click.option("--workflow", metavar="WORKFLOW", help="Only of this one, by its name or id.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at the most.")
@connected
def list_runs(session: Session, workflow: str | None, status: str | None, limit: int) -> None:
    """List runs, newest first."""
    from orchestrator.cli import graphs, timetable
    from worker_client.contract.enums import RunStatus

    filters: dict[str, Any] = {"limit": limit}
    if workflow is not None:
        filters["workflow_id"] = workflow_of(session, workflow).id
    if status is not None:
        filters["status"] = RunStatus(status)
    page = session.client.runs(**filters)
    session.put(page, graphs.runs(page.items) if page.items else "no runs", *timetable.rest(page))


@run.command()
@click.argument("run_id", metavar="RUN", type=TASK_ID)
@connected
def show(session: Session, run_id: int) -> None:
    """Show a run with its steps."""
    from orchestrator.cli import graphs

    found = session.client.get_run(run_id)
    session.put(found, *graphs.run(found))


@run.command()
@ids
@connected
def wait(session: Session, run_ids: tuple[int, ...]) -> None:
    """Wait until runs have ended; exit code 1 when one of them is not completed."""
    from orchestrator.cli import graphs
    from orchestrator.cli.waiting import run_ended

    ended = []
    for run_id in run_ids:
        ended.append(run_ended(session, run_id))
        session.put(ended[-1], *graphs.run(ended[-1]))
    if any(one.status != "completed" for one in ended):
        sys.exit(Exit.FAILED)


@run.command()
@ids
@click.option("--reason", help="Is kept with the run.")
@connected
def cancel(session: Session, run_ids: tuple[int, ...], reason: str | None) -> None:
    """Cancel runs, with their tasks."""
    from orchestrator.cli import graphs

    for run_id in run_ids:
        changed = session.client.cancel_run(run_id, reason=reason)
        session.put(changed, graphs.run_line(changed))


@run.command()
@ids
@connected
def resume(session: Session, run_ids: tuple[int, ...]) -> None:
    """Go on with runs that failed or were cancelled, from the steps that did not complete."""
    from orchestrator.cli import graphs

    for run_id in run_ids:
        changed = session.client.resume_run(run_id)
        session.put(changed, graphs.run_line(changed))
