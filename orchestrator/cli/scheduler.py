"""`orchestrator scheduler`: whether schedules fire at all."""

from typing import TYPE_CHECKING

import rich_click as click

from orchestrator.cli.options import Session, connected

if TYPE_CHECKING:
    from worker_client.contract.system import SchedulerInfo


@click.group("scheduler")
def scheduler() -> None:
    """Whether schedules fire, all of them, on all servers; each by itself: `orchestrator schedule start` and `stop`."""


@scheduler.command()
@connected
def status(session: Session) -> None:
    """Show whether schedules fire, and when the next one does."""
    _put(session, session.client.system_info().scheduler)


@scheduler.command()
@connected
def start(session: Session) -> None:
    """Have schedules fire again; what became due meanwhile is as each one's `missed` says."""
    _put(session, session.client.start_scheduler())


@scheduler.command()
@connected
def stop(session: Session) -> None:
    """Have no schedule fire, also after a restart, until it is started again."""
    _put(session, session.client.stop_scheduler())


def _put(session: Session, found: "SchedulerInfo") -> None:
    from orchestrator.cli import timetable

    counts = found.schedules
    told = [
        f"the scheduler is {found.state}" + ("" if found.enabled else ", and this server fires none (scheduler.enabled)"),
        f"{counts.active} active, {counts.paused} paused, {counts.finished} finished",
    ]
    if found.next_fire_at is not None:
        told.append(f"next {timetable.when(found.next_fire_at, found.timezone)}")
    session.put(found, *told)
