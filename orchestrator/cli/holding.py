"""`orchestrator accounts` and `drain`: who gets no tasks for the time being."""

from typing import TYPE_CHECKING

import rich_click as click

from orchestrator.cli.options import Session, connected
from orchestrator.cli.options import time as moment

if TYPE_CHECKING:
    from datetime import datetime

    from worker_client.contract.accounts import Account

MOST = 1000
"""What the server lists at once."""
names_argument = click.argument("names", metavar="ACCOUNT...", nargs=-1, required=True)


@click.group("accounts")
def accounts() -> None:
    """Accounts behind agents: what waits for their quota, and letting them go on."""


@accounts.command("list")
@connected
def list_accounts(session: Session) -> None:
    """List accounts that wait for their quota, or did within the last day."""
    from orchestrator.cli import views

    page = session.client.accounts(limit=MOST)
    session.put(page, views.accounts(page.items) if page.items else "no account waits for its quota")


@accounts.command()
@names_argument
@connected
def resume(session: Session, names: tuple[str, ...]) -> None:
    """Let accounts be used again before their time; the tasks that wait for them come back."""
    for name in names:
        _put(session, session.client.set_account(name, held_until=None))


@accounts.command()
@names_argument
@click.option("--until", type=moment, required=True, help="A time, such as 2030-01-31T18:00.")
@click.option("--reason", help="Is kept with it.")
@connected
def hold(session: Session, names: tuple[str, ...], *, until: "datetime", reason: str | None) -> None:
    """Let nobody get tasks with these accounts until a time."""
    for name in names:
        _put(session, session.client.set_account(name, held_until=until, reason=reason))


def _put(session: Session, account: "Account") -> None:
    from orchestrator.cli import output

    state = f"waits until {output.moment(account.held_until)}" if account.held_until else "may be used"
    session.put(account, f"account {account.account} {state}")


@click.command()
@click.argument("workers", metavar="WORKER...", nargs=-1, required=True)
@click.option("--undo", is_flag=True, help="Let them ask again, if they have not ended yet.")
@click.option("--reason", help="Is told in the feed.")
@connected
def drain(session: Session, workers: tuple[str, ...], *, undo: bool, reason: str | None) -> None:
    """Have workers end what they do and ask for nothing more; WORKER is an id as `orchestrator workers` shows it."""
    for worker in workers:
        if undo:
            session.client.undrain_worker(worker)
            session.put({"worker_id": worker, "draining": False}, f"worker {worker} may ask again")
        else:
            told = session.client.drain_worker(worker, reason=reason)
            session.put(told, f"worker {worker} drains; it still has {told.running} tasks")
