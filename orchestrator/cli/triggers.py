"""`orchestrator trigger`: what starts workflows from outside, and what became of it."""

import sys
from typing import Any

import rich_click as click

from orchestrator.cli.exits import Exit
from orchestrator.cli.named import workflow_of
from orchestrator.cli.options import Session, connected, input_of, input_options

OUTCOMES = ("fired", "dry_run", "duplicate", "filtered", "refused", "failed", "fetching")
name = click.argument("name", metavar="WORKFLOW")


@click.group("trigger")
def trigger() -> None:
    """What starts workflows from outside: webhooks, GitHub, mail, the clock, people.

    They are part of a workflow's definition, and work from `orchestrator workflow deploy` on.
    """


@trigger.command()
@name
@connected
def status(session: Session, name: str) -> None:
    """Show the triggers of a workflow: what they wait for, and how they are."""
    from orchestrator.cli import graphs

    found = session.client.trigger_status(workflow_of(session, name).id)
    session.put(found, *graphs.trigger_status(found))


@trigger.command()
@name
@input_options
@click.option("--confirm", is_flag=True, help="Also when the trigger wants that said.")
@connected
def fire(session: Session, name: str, *, confirm: bool, **options: Any) -> None:
    """Fire the manual trigger of a workflow."""
    from orchestrator.cli import graphs
    from worker_client.errors import Conflict

    try:
        done = session.client.fire_manually(workflow_of(session, name).id, input=input_of(options), confirm=confirm)
    except Conflict as error:
        if error.details.get("field") == "confirm":
            error.message = f"{error.message.partition(': send')[0]}; with --confirm it does"
        raise
    session.put(done, graphs.delivered(done))


@trigger.command()
@name
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only those.")
@click.option("--type", "type", help="Only those of this type of trigger, such as webhook.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at the most.")
@connected
def deliveries(session: Session, name: str, **options: Any) -> None:
    """Show what reached the triggers of a workflow, newest first, also what was filtered and refused, and why."""
    from orchestrator.cli import graphs, timetable
    from worker_client.contract.enums import DeliveryOutcome

    if options["outcome"]:
        options["outcome"] = DeliveryOutcome(options["outcome"])
    page = session.client.deliveries(workflow_of(session, name).id, **options)
    session.put(page, graphs.deliveries(page.items) if page.items else "nothing has reached its triggers", *timetable.rest(page))


@trigger.command()
@connected
def health(session: Session) -> None:
    """Show whether the triggers of all deployed workflows can do their work; exit code 1 when one cannot."""
    from orchestrator.cli import graphs

    found = session.client.trigger_health()
    session.put(found, *graphs.health(found))
    if not found.healthy:
        sys.exit(Exit.FAILED)
