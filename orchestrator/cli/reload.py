"""`orchestrator reload`: the settings of a running server, read anew."""

import functools
from typing import TYPE_CHECKING

import rich_click as click

from orchestrator.cli.options import Session
from orchestrator.cli.reaching import administering

if TYPE_CHECKING:
    from worker_client.contract.system import Reloaded


@click.command()
@functools.partial(administering, running=True)
def reload(session: Session) -> None:
    """Have a running server read its settings anew; a bad file is refused whole, and changes nothing."""
    done = session.client.reload()
    session.put(done, _told(done))


def _told(done: "Reloaded") -> str:
    changed = f"changed: {', '.join(done.changed)}" if done.changed else "nothing has changed"
    return f"{changed}\nnot before a restart: {', '.join(done.needs_restart)}" if done.needs_restart else changed
