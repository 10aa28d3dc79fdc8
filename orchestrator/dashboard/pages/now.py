"""The first page: what needs a person, what runs, what waits and why, what failed, and how it goes on the whole."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from orchestrator.dashboard import charts, measures
from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.directories import ListWaiting
from worker_client.contract.enums import Status
from worker_client.contract.logs import LastLine, ReadLastLines
from worker_client.contract.statistics import HourDurations, MinuteCounts, ReadSeries
from worker_client.contract.tasks import ListTasks, Task

_ASKING: Final = 6
_RUNNING: Final = 30
_WAITING: Final = 10
_FAILED: Final = 6
_LATELY: Final = 100
"""The newest tasks that failed, of which those are shown that did so last."""
_EXCERPT: Final = 300


async def _figures(visit: Visit) -> Facts:
    return {"numbers": await visit.ask(endpoints.statistics_now())}


async def _needs(visit: Visit) -> Facts:
    wanted = ListTasks(needs_person=True, limit=_ASKING, excerpt=_EXCERPT)
    return {"found": await visit.ask(endpoints.list_tasks(wanted))}


async def _running(visit: Visit) -> Facts:
    found = await visit.ask(endpoints.list_tasks(ListTasks(status=[Status.RUNNING], limit=_RUNNING, excerpt=_EXCERPT)))
    lines = await _last_lines(visit, found.items)
    return {"found": found, "lines": lines}


async def _last_lines(visit: Visit, tasks: Sequence[Task]) -> dict[int, LastLine]:
    """What each of the tasks said last in its present attempt."""
    if not tasks:
        return {}
    leases = {task.id: task.lease_no for task in tasks}
    found = await visit.ask(endpoints.last_lines(ReadLastLines(task_id=list(leases))))
    return {line.task_id: line for line in found if line.lease_no == leases[line.task_id]}


async def _waiting(visit: Visit) -> Facts:
    return {"found": await visit.ask(endpoints.list_waiting(ListWaiting(limit=_WAITING)))}


async def _failed(visit: Visit) -> Facts:
    found = await visit.ask(endpoints.list_tasks(ListTasks(status=[Status.FAILED], limit=_LATELY, excerpt=_EXCERPT)))
    latest = sorted(found.items, key=_finished, reverse=True)[:_FAILED]
    return {"found": found, "latest": latest}


def _finished(task: Task) -> datetime:
    return task.finished_at or task.updated_at


async def _charts(visit: Visit) -> Facts:
    series = await visit.ask(endpoints.read_series(ReadSeries()))
    minutes = [charts.Column((minute.completed, minute.failed), _minute(minute, visit)) for minute in series.minutes]
    hours = [charts.Column((hour.p95_ms or 0, hour.p50_ms or 0), _hour(hour, visit)) for hour in series.hours]
    return {
        "throughput": charts.counts(minutes, ("a", "b"), measures.large),
        "latency": charts.times(hours, ("c soft", "c"), measures.precise),
        "completed": sum(minute.completed for minute in series.minutes),
        "failed": sum(minute.failed for minute in series.minutes),
        "last": next((hour for hour in reversed(series.hours) if hour.count), None),
    }


def _minute(minute: MinuteCounts, visit: Visit) -> str:
    return visit.texts("now.minute", at=f"{minute.at:%H:%M}", completed=minute.completed, failed=minute.failed)


def _hour(hour: HourDurations, visit: Visit) -> str:
    at = f"{hour.at:%H:%M}"
    if hour.p50_ms is None or hour.p95_ms is None:
        return visit.texts("now.hour_empty", at=at)
    p50, p95 = measures.precise(hour.p50_ms), measures.precise(hour.p95_ms)
    return visit.texts("now.hour", at=at, p50=p50, p95=p95, n=hour.count)


NOW: Final = Page(
    "now",
    panels=(
        Panel("now-figures", _figures, on=("task.*",)),
        Panel("now-needs", _needs, on=("task.*",)),
        Panel("now-running", _running, on=("task.*", "task.progress", "task.output")),
        Panel("now-waiting", _waiting, on=("task.*", "directory.*", "account.*", "worker.*")),
        Panel("now-failed", _failed, on=("task.*",)),
        Panel("now-charts", _charts, on=("task.completed", "task.failed", "task.expired")),
    ),
)
