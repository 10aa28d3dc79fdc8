"""Commands that look: list, show, why, workers, stats."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.named import schedule_of, workflow_of
from orchestrator.cli.options import PRIORITIES, STATUSES, TASK_ID, Session, connected, work_path

if TYPE_CHECKING:
    from worker_client.contract.envelope import Page

MOST = 1000
"""What the server lists at once."""


@click.command("list")
@click.option("--status", type=click.Choice(STATUSES), multiple=True, help="May be repeated.")
@click.option("--priority", type=click.Choice(PRIORITIES), multiple=True, help="Only tasks of this priority; may be repeated.")
@click.option("--dir", "directories", multiple=True, help="Tasks of this directory; may be repeated.  [default: of all]")
@click.option("--recursive/--no-recursive", default=True, show_default=True, help="With --dir: also of the directories below.")
@click.option("--kind", multiple=True, help="May be repeated.")
@click.option("--tag", multiple=True, help="May be repeated.")
@click.option("--agent", help="Tasks for this agent.")
@click.option("--worker", "worker_id", help="Tasks that this worker holds or held.")
@click.option("--schedule", metavar="SCHEDULE", help="Tasks that this schedule created, by its name or id.")
@click.option("--workflow", metavar="WORKFLOW", help="Tasks of this workflow's runs, by its name or id.")
@click.option("--run", "run_id", type=TASK_ID, help="Tasks of this run of a workflow.")
@click.option("-q", "--search", "q", help="Words in title, prompt, tags, description, result or error.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at the most.")
@click.option("--offset", type=click.IntRange(min=0), default=0, show_default=True, help="Leave out so many.")
@connected
def list_tasks(session: Session, directories: tuple[str, ...], *, recursive: bool, **options: Any) -> None:
    """List tasks, newest first."""
    schedule, workflow = options.pop("schedule"), options.pop("workflow")
    filters: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in options.items() if value
    }
    if directories:
        filters.update(work_path=[work_path(one) for one in directories], recursive=recursive)
    if schedule is not None:
        filters["schedule_id"] = schedule_of(session, schedule).id
    if workflow is not None:
        filters["workflow_id"] = workflow_of(session, workflow).id
    page = session.client.list(**filters)
    if session.as_json:
        session.put(page)
        return
    from orchestrator.cli import views

    shown: list[Any] = [views.tasks(page.items)] if page.items else ["no tasks"]
    if page.total > len(page.items):
        more = "" if page.total_exact else "more than "
        shown.append(f"{len(page.items)} of {more}{page.total}; --limit and --offset show others")
    if page.unsearched:
        shown.append(f"the tasks up to {page.unsearched} are not searched: they are yet to be put into the index")
    session.put(page, *shown)


@click.command()
@click.argument("task_id", type=TASK_ID)
@connected
def show(session: Session, task_id: int) -> None:
    """Show a task and its attempts."""
    task = session.client.get(task_id)
    if session.as_json:
        session.put(task)
        return
    from orchestrator.cli import views

    page = session.client.attempts(task_id, limit=MOST)
    tried = [views.attempts(page.items)] if page.items else []
    session.put(task, views.facts(task), *tried, *views.denials(page.items), *_cut(page))


@click.command()
@click.argument("task_id", type=TASK_ID)
@connected
def why(session: Session, task_id: int) -> None:
    """Say why a task does not run."""
    from orchestrator.cli import views

    reasons = session.client.why(task_id)
    session.put(reasons, *views.obstacles(reasons))


@click.command()
@connected
def workers(session: Session) -> None:
    """List who asks for work, and what they hold."""
    from orchestrator.cli import views

    page = session.client.workers(limit=MOST)
    nobody = "no worker has asked lately: orchestrator-worker run --dir PATH"
    session.put(page, views.workers(page.items) if page.items else nobody, *_cut(page))


def _cut(page: "Page[Any]") -> list[str]:
    """What to say of a list that is longer than one answer."""
    more = "" if page.total_exact else "more than "
    return [f"the first {len(page.items)} of {more}{page.total}"] if page.next_cursor else []


@click.command()
@connected
def stats(session: Session) -> None:
    """Count tasks by status and directory; throughput and durations."""
    from orchestrator.cli import views

    numbers = session.client.statistics()
    session.put(numbers, *views.statistics(numbers))
