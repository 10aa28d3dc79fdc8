"""`orchestrator workflow`: graphs of tasks, and the triggers that start them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.exits import Exit, note
from orchestrator.cli.named import workflow_of
from orchestrator.cli.options import Session, connected, input_of, input_options
from orchestrator.cli.waiting import run_ended

if TYPE_CHECKING:
    from worker_client.contract.workflows import Deployment

name = click.argument("name", metavar="WORKFLOW")
names = click.argument("names", metavar="WORKFLOW...", nargs=-1, required=True)
file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
version_option = click.option("--version", type=click.IntRange(min=1), help="[default: the latest]")


@click.group("workflow")
def workflow() -> None:
    """Graphs of tasks: steps that depend on each other, and the triggers that start them.

    WORKFLOW is the name of one, or its id. FILE holds one definition, in JSON, YAML or TOML; `orchestrator apply` takes
    whole folders of them.

    \b
        orchestrator workflow add release.yaml
        orchestrator workflow run release --input branch=main --wait
        orchestrator workflow deploy release
    """  # noqa: D301 - click reads the mark itself


@workflow.command()
@file
@connected
def add(session: Session, file: Path) -> None:
    """Save the workflow that FILE defines; its triggers are inert until it is deployed."""
    from orchestrator.cli import graphs
    from orchestrator.cli.definitions import workflow_in
    from worker_client import endpoints

    made = session.client.send(endpoints.create_workflow(workflow_in(file)))
    session.put(made, graphs.line(made))


@workflow.command()
@name
@file
@connected
def change(session: Session, name: str, file: Path) -> None:
    """Save FILE as a new version; runs go on with theirs, and a deployment stays where it is until the next deploy."""
    from orchestrator.cli import graphs
    from orchestrator.cli.definitions import changed_workflow, workflow_in
    from worker_client import endpoints

    found = workflow_of(session, name)
    made = session.client.send(endpoints.update_workflow(found.id, changed_workflow(workflow_in(file))))
    session.put(made, graphs.line(made))
    if found.deployed_version and not session.as_json:
        note(f"version {found.deployed_version} stays deployed: orchestrator workflow deploy {made.name}")


@workflow.command("list")
@click.option("--search", "q", help="Words in the name.")
@click.option("--deployed/--not-deployed", default=None, help="Only those.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at the most.")
@connected
def list_workflows(session: Session, **options: Any) -> None:
    """List workflows, by name."""
    from orchestrator.cli import graphs, timetable

    page = session.client.workflows(**options)
    none = "no workflows: orchestrator workflow add FILE"
    session.put(page, graphs.workflows(page.items) if page.items else none, *timetable.rest(page))


@workflow.command()
@name
@version_option
@connected
def show(session: Session, name: str, version: int | None) -> None:
    """Show a workflow with its steps and triggers."""
    from orchestrator.cli import graphs

    found = workflow_of(session, name)
    if version is not None:
        found = session.client.get_workflow(found.id, version=version)
    session.put(found, *graphs.whole(found))


@workflow.command()
@name
@input_options
@version_option
@click.option("--wait", is_flag=True, help="Until it has ended; exit code 1 when it is not completed.")
@connected
def run(session: Session, name: str, *, version: int | None, wait: bool, **options: Any) -> None:
    """Begin a run."""
    from orchestrator.cli import graphs

    begun = session.client.execute_workflow(workflow_of(session, name).id, input=input_of(options), version=version)
    run = run_ended(session, begun.id) if wait else begun
    session.put(run, *(graphs.run(run) if wait else [graphs.run_line(run)]))
    if wait and run.status != "completed":
        sys.exit(Exit.FAILED)


@workflow.command()
@names
@click.option("--reason", help="Is kept with the runs.")
@connected
def stop(session: Session, names: tuple[str, ...], reason: str | None) -> None:
    """Cancel all runs that are under way, with their tasks."""
    for one in names:
        found = workflow_of(session, one)
        done = session.client.stop_workflow(found.id, reason=reason)
        session.put(done, f"workflow {found.name}: {done.count} run{'' if done.count == 1 else 's'} cancelled")


@workflow.command()
@names
@version_option
@connected
def deploy(session: Session, names: tuple[str, ...], version: int | None) -> None:
    """Switch the triggers of a version on; those of the version before go off."""
    _each(session, names, lambda workflow_id: session.client.deploy_workflow(workflow_id, version=version))


@workflow.command()
@names
@connected
def undeploy(session: Session, names: tuple[str, ...]) -> None:
    """Switch the triggers off; runs go on."""
    _each(session, names, session.client.undeploy_workflow)


@workflow.command()
@click.argument("name", metavar="[WORKFLOW]", required=False)
@connected
def status(session: Session, name: str | None) -> None:
    """Show whether a workflow is deployed, and how its triggers are; without a name: all that are deployed."""
    from orchestrator.cli import graphs

    if name is None:
        page = session.client.deployments(limit=1000)
        session.put(
            page, graphs.deployments(page.items) if page.items else "nothing is deployed: orchestrator workflow deploy NAME"
        )
        return
    found = session.client.get_deployment(workflow_of(session, name).id)
    session.put(found, *graphs.deployment(found))


@workflow.command()
@names
@connected
def delete(session: Session, names: tuple[str, ...]) -> None:
    """Delete workflows that are not deployed and have no run under way; runs that have ended stay."""
    from worker_client.errors import Conflict

    for one in names:
        found = workflow_of(session, one)
        if found.deployed_version is not None:
            raise Conflict(f"workflow {found.name} is deployed: orchestrator workflow undeploy {found.name}")
        session.client.delete_workflow(found.id)
        session.put({"id": found.id, "name": found.name, "deleted": True}, f"workflow {found.name} is deleted")


def _each(session: Session, names: tuple[str, ...], change: "Callable[[str], Deployment]") -> None:
    from orchestrator.cli import graphs

    for one in names:
        changed = change(workflow_of(session, one).id)
        session.put(changed, *graphs.deployment(changed))
