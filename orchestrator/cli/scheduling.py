"""`orchestrator schedule add` and `change`: when, and what."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.adding import describing, task_of
from orchestrator.cli.named import schedule_of, workflow_of
from orchestrator.cli.options import Session, connected, duration, input_of, input_options, time

if TYPE_CHECKING:
    from worker_client.contract.schedules import Schedule

OVERLAPS = ("allow", "skip", "queue_one", "one_at_a_time", "cancel_previous")
MISSED = ("skip", "once", "all")
PREVIEWED = 3
_TIMING = (
    "timezone", "description", "starts_at", "ends_at", "max_runs", "jitter_seconds", "overlap", "missed",
    "missed_window_seconds", "pause_after_failures",
)  # fmt: skip
TIMING_OPTIONS = (
    click.option("--timezone", metavar="ZONE", help="Such as Europe/Berlin.  [default: scheduler.timezone of the server]"),
    click.option("--description", help="What it is for."),
    click.option("--starts", "starts_at", type=time, help="Not before this time: 2030-01-31T18:00 (local) or 2030-01-31T18:00Z."),
    click.option("--ends", "ends_at", type=time, help="Not from this time on."),
    click.option("--max-runs", type=click.IntRange(min=1), help="So often, and then no more.  [default: for ever]"),
    click.option(
        "--jitter", "jitter_seconds", type=duration, help="Up to so long after each time, always the same for one time."
    ),
    click.option(
        "--overlap",
        type=click.Choice(OVERLAPS),
        help="What it does when the work of an earlier time has not ended.  [default: allow]",
    ),
    click.option(
        "--missed",
        type=click.Choice(MISSED),
        help="What it makes up for after no server ran: nothing, one time, or all.  [default: once]",
    ),
    click.option("--missed-window", "missed_window_seconds", type=duration, help="But nothing older than this.  [default: 1d]"),
    click.option(
        "--pause-after",
        "pause_after_failures",
        type=click.IntRange(1, 1000),
        help="Pause it when so many in a row failed.  [default: never]",
    ),
)


def timing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say when a schedule fires."""
    for option in reversed(TIMING_OPTIONS):
        command = option(command)
    return command


@click.command("add")
@click.argument("cron")
@click.option("--name", required=True, help="What it is called; no two schedules that you see have the same.")
@click.option("--prompt", help="What an agent is to do; - reads it from standard input.")
@describing
@click.option("--workflow", metavar="WORKFLOW", help="Begin a run of this workflow instead, by its name or id.")
@input_options
@timing
@click.option("--paused", is_flag=True, help="It fires when `orchestrator schedule start` says so.")
@connected
def add_schedule(session: Session, cron: str, *, name: str, paused: bool, **options: Any) -> None:
    """Create work at the times of CRON: a task for --prompt, --use or --command, or a run of --workflow.

    CRON has five fields (minute, hour, day, month, weekday), six with seconds first, or is like @hourly or "@every 5m".

    \b
        orchestrator schedule add "0 2 * * *" --name nightly --prompt "Update the dependencies" --dir ~/src/shop
        orchestrator schedule add "H * * * MON-FRI" --name checks --command "make check" --overlap skip
        orchestrator schedule add @daily --name report --use report --arguments "last day" --timezone Europe/Berlin
        orchestrator schedule add "0 9 * * 1" --name weekly --workflow release --input dry_run=true
    """  # noqa: D301 - click reads the mark itself
    when = _given(options)
    made = session.client.create_schedule(name=name, cron=cron, enabled=not paused, **when, **_work(session, **options))
    _tell(session, made)


@click.command("change")
@click.argument("which", metavar="SCHEDULE")
@click.option("--name", help="What it is called from now on.")
@click.option("--cron", help="When it fires from now on.")
@timing
@connected
def change_schedule(session: Session, which: str, **options: Any) -> None:
    """Change when a schedule fires; what is not said stays, and so does what it creates."""
    given = {field: value for field in ("name", "cron") if (value := options.pop(field)) is not None}
    given |= _given(options)
    if not given:
        raise click.UsageError("nothing to change: give --cron, --timezone or another of the options")
    _tell(session, session.client.update_schedule(schedule_of(session, which).id, **given))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that say when, taken out."""
    from worker_client.contract.enums import Missed, Overlap

    given = {name: value for name in _TIMING if (value := options.pop(name)) is not None}
    for name, kind in (("overlap", Overlap), ("missed", Missed)):
        if name in given:
            given[name] = kind(given[name])
    return given


def _work(session: Session, *, workflow: str | None, prompt: str | None, **options: Any) -> dict[str, Any]:
    """What is created: a task, or a run of a workflow."""
    given = input_of(options)
    if workflow is not None:
        if prompt or options["script"] or options["use"]:
            raise click.UsageError("--workflow says what to do, as --prompt, --use and --command do; use one of them")
        from worker_client.contract.schedules import WorkflowCall

        return {"workflow": WorkflowCall(id=workflow_of(session, workflow).id, input=given)}
    if given:
        raise click.UsageError("--input is for --workflow")
    from worker_client.contract.tasks import CreateTask

    return {"task": CreateTask(**task_of(prompt, **options))}


def _tell(session: Session, schedule: "Schedule") -> None:
    """A schedule with its times to come."""
    if session.as_json:
        session.put(schedule)
        return
    from orchestrator.cli import timetable

    coming = session.client.preview_schedule(schedule.id, count=PREVIEWED)
    session.put(schedule, timetable.line(schedule), *timetable.preview(coming))
