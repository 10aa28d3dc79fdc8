"""`orchestrator schedule`: work that is created by the clock."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.named import schedule_of
from orchestrator.cli.options import Session, connected, time
from orchestrator.cli.reaching import every
from orchestrator.cli.scheduling import add_schedule, change_schedule

if TYPE_CHECKING:
    from worker_client.contract.schedules import Schedule

STATES = ("active", "paused", "finished")
OUTCOMES = ("fired", "queued", "skipped", "failed")
names = click.argument("names", metavar="SCHEDULE...", nargs=-1, required=True)
name = click.argument("name", metavar="SCHEDULE")
count_option = click.option(
    "-n", "--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="So many times to come."
)
limit_option = click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at the most.")


@click.group("schedule")
def schedule() -> None:
    """Work that is created by the clock: tasks, commands and runs of workflows.

    SCHEDULE is the name of one, or its id.

    \b
        orchestrator schedule add "0 2 * * *" --name nightly --prompt "Update the dependencies" --dir ~/src/shop
        orchestrator schedule preview nightly
        orchestrator schedule fires nightly
    """  # noqa: D301 - click reads the mark itself


schedule.add_command(add_schedule)
schedule.add_command(change_schedule)


@schedule.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those.")
@click.option("--search", "q", help="Words in the name.")
@limit_option
@connected
def list_schedules(session: Session, **options: Any) -> None:
    """List schedules, by name."""
    from orchestrator.cli import timetable
    from worker_client.contract.enums import ScheduleState

    if options["state"]:
        options["state"] = ScheduleState(options["state"])
    page = session.client.schedules(**options)
    none = 'no schedules: orchestrator schedule add "0 2 * * *" --name nightly --prompt "..."'
    runs = not session.as_json and any(one.workflow for one in page.items)
    workflows = {one.id: one.name for one in every(session.client.workflows)} if runs else {}
    session.put(page, timetable.schedules(page.items, workflows) if page.items else none, *timetable.rest(page))


@schedule.command()
@name
@connected
def show(session: Session, name: str) -> None:
    """Show all that is known of a schedule, and what became of its latest times."""
    from orchestrator.cli import timetable

    found = schedule_of(session, name)
    if session.as_json:
        session.put(found)
        return
    fires = session.client.fires(found.id, limit=5).items
    session.put(found, timetable.facts(found), *([timetable.fires(fires, found.timezone)] if fires else []))


@schedule.command()
@names
@connected
def start(session: Session, names: tuple[str, ...]) -> None:
    """Let schedules fire again."""
    _each(session, names, lambda one: session.client.start_schedule(one.id))


@schedule.command()
@names
@click.option("--cancel", is_flag=True, help="Also cancel what it has created and what has not ended.")
@connected
def stop(session: Session, names: tuple[str, ...], *, cancel: bool) -> None:
    """Pause schedules; what they have created goes on."""
    _each(session, names, lambda one: session.client.stop_schedule(one.id, cancel=cancel))


@schedule.command()
@names
@connected
def restart(session: Session, names: tuple[str, ...]) -> None:
    """Begin schedules anew: active, runs and failures counted from nothing; what has not ended is cancelled."""
    _each(session, names, lambda one: session.client.restart_schedule(one.id))


@schedule.command()
@names
@connected
def run(session: Session, names: tuple[str, ...]) -> None:
    """Have schedules create their work now, also while an earlier one runs; their times stay as they are."""
    from orchestrator.cli import timetable

    for one in names:
        found = schedule_of(session, one)
        fire = session.client.execute_schedule(found.id)
        session.put(fire, timetable.fired(found.name, fire))


@schedule.command()
@name
@click.option("--from", "start", type=time, required=True, help="A time, such as 2030-01-31T18:00 (local) or 2030-01-31T18:00Z.")
@click.option("--to", "end", type=time, required=True, help="Up to this time, but not at it.")
@connected
def backfill(session: Session, name: str, **options: Any) -> None:
    """Fire for the times of a period in the past that have not fired."""
    found = schedule_of(session, name)
    done = session.client.backfill_schedule(found.id, **options)
    session.put(done, f"schedule {found.name}: {done.due} times in this period, {done.fired} of them fired now")


@schedule.command()
@click.argument("name", metavar="[SCHEDULE]", required=False)
@click.option("--cron", help="An expression that is no schedule yet.")
@click.option(
    "--timezone", metavar="ZONE", help="With --cron: such as Europe/Berlin.  [default: scheduler.timezone of the server]"
)
@count_option
@connected
def preview(session: Session, name: str | None, cron: str | None, timezone: str | None, count: int) -> None:
    """Say in words when a schedule fires, and its times to come; nothing is changed.

    \b
        orchestrator schedule preview nightly
        orchestrator schedule preview --cron "0 9 * * MON-FRI" --timezone Europe/Berlin
    """  # noqa: D301 - click reads the mark itself
    from orchestrator.cli import timetable

    if (name is None) == (cron is None):
        raise click.UsageError('name a schedule, or give an expression: --cron "0 2 * * *"')
    if timezone and cron is None:
        raise click.UsageError("--timezone is for --cron: a schedule has its own")
    if cron is not None:
        found = session.client.preview(cron=cron, timezone=timezone, count=count)
    else:
        found = session.client.preview_schedule(schedule_of(session, str(name)).id, count=count)
    session.put(found, *timetable.preview(found))


@schedule.command()
@name
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only those.")
@limit_option
@connected
def fires(session: Session, name: str, **options: Any) -> None:
    """Show what became of a schedule's times, newest first: what fired, what was skipped, and why."""
    from orchestrator.cli import timetable
    from worker_client.contract.enums import FireOutcome

    if options["outcome"]:
        options["outcome"] = FireOutcome(options["outcome"])
    found = schedule_of(session, name)
    page = session.client.fires(found.id, **options)
    none = f"schedule {found.name} has not fired yet"
    session.put(page, timetable.fires(page.items, found.timezone) if page.items else none, *timetable.rest(page))


@schedule.command()
@names
@connected
def delete(session: Session, names: tuple[str, ...]) -> None:
    """Delete schedules and their history; what they have created goes on."""
    for one in names:
        found = schedule_of(session, one)
        session.client.delete_schedule(found.id)
        session.put({"id": found.id, "name": found.name, "deleted": True}, f"schedule {found.name} is deleted")


def _each(session: Session, names: tuple[str, ...], change: "Callable[[Schedule], Schedule]") -> None:
    from orchestrator.cli import timetable

    for one in names:
        changed = change(schedule_of(session, one))
        session.put(changed, timetable.line(changed))
