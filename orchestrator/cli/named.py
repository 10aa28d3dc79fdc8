"""Finding things by what people call them: a name, or an id."""

from typing import TYPE_CHECKING

from orchestrator.cli.options import Session
from orchestrator.cli.reaching import every

if TYPE_CHECKING:
    from worker_client.contract.schedules import Schedule
    from worker_client.contract.workflows import Workflow


def schedule_of(session: Session, name: str) -> "Schedule":
    """The schedule with this name, or else the one with this id."""
    from worker_client.errors import Conflict, NotFound

    found = [one for one in every(session.client.schedules, q=name) if one.name == name]
    if len(found) > 1:
        raise Conflict(f"{len(found)} schedules have the name {name[:40]!r}: say which by its id, {_ids(found)}")
    if found:
        return found[0]
    if name.isascii() and name.isdecimal():
        return session.client.get_schedule(int(name))
    raise NotFound(f"no schedule has the name or the id {name[:40]!r}; `orchestrator schedule list` shows them{_perhaps(name)}")


def workflow_of(session: Session, name: str) -> "Workflow":
    """The workflow with this name, or else the one with this id."""
    from worker_client.errors import Conflict, NotFound

    found = [one for one in every(session.client.workflows, q=name) if one.name == name]
    if len(found) > 1:
        raise Conflict(f"{len(found)} workflows have the name {name[:40]!r}: say which by its id, {_ids(found)}")
    if found:
        return found[0]
    if name.startswith("wf_"):
        return session.client.get_workflow(name)
    raise NotFound(f"no workflow has the name or the id {name[:40]!r}; `orchestrator workflow list` shows them")


def _perhaps(name: str) -> str:
    return "; an expression is given with --cron" if name.startswith("@") or len(name.split()) >= 5 else ""


def _ids(found: "list[Schedule] | list[Workflow]") -> str:
    return ", ".join(str(one.id) for one in found)
