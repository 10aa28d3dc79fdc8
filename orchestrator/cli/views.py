"""Tasks, attempts, workers and numbers, as people see them."""

from collections.abc import Iterator
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from orchestrator.cli import output
from worker_client.contract.accounts import Account
from worker_client.contract.attempts import Attempt
from worker_client.contract.statistics import Statistics
from worker_client.contract.tasks import Task, Why
from worker_client.contract.workers import Worker

OWN_KEYS = "sdk-"
"""Keys that the SDK made up, so that it can repeat itself; nobody asked for them."""


def tasks(listed: list[Task]) -> Table:
    """Tasks, a line each."""
    rows = (
        (
            str(task.id),
            output.status(task.status),
            output.priority(task.priority),
            task.kind,
            output.title(task),
            f"{task.attempt}/{task.max_attempts}",
            output.duration(output.between(task.created_at, None)),
            remark(task),
            task.work_directory,
        )
        for task in listed
    )
    headers = ("ID", "STATUS", "PRIORITY", "KIND", "TITLE", "ATTEMPT", "AGE", "REMARK", "DIRECTORY")
    return output.table(*headers, rows=rows, right=("ID", "ATTEMPT", "AGE"))


def remark(task: Task) -> str:
    """What else is worth knowing about a task, by its status."""
    if task.status == "running":
        percent = f", {task.progress.percent:g} %" if task.progress and task.progress.percent is not None else ""
        stopping = ", cancel requested" if task.cancel_requested_at else ""
        return f"since {output.duration(output.between(task.started_at, None))}{percent}{stopping}"
    if task.status == "scheduled" and task.due_at:
        wait = output.between(task.due_at, None) or 0.0
        return f"due in {output.duration(-wait)}"
    if task.status == "parked" and task.parked:
        return task.parked.question or str(task.parked.reason)
    if task.status == "blocked":
        return "after " + ", ".join(map(str, task.depends_on))
    if task.status == "failed" and task.error:
        return task.error.type
    return (task.reason or "") if task.status == "cancelled" else ""


def facts(task: Task) -> Table:
    """All that is known about a task."""
    made = output.facts(_fields(task))
    if output.console().is_terminal:
        made.title, made.title_justify, made.title_style = f"Task {task.id}", "left", "bold"
    return made


def _fields(task: Task) -> Iterator[tuple[str, Text | str]]:
    def dense(value: Any) -> str:
        return msgspec.json.encode(value).decode() if value else ""

    yield "status", output.status(task.status).append(f"  {remark(task)}".rstrip(), "dim")
    yield "title", task.title or ""
    yield "directory", task.work_directory + (f" on {task.host}" if task.host else "")
    yield "kind", task.kind + (", exclusive" if task.exclusive else "")
    yield "agent", task.agent or ""
    yield "priority", str(task.priority)
    yield "tags", ", ".join(task.tags)
    yield "after", ", ".join(map(str, task.depends_on))
    yield "key", "" if (task.key or "").startswith(OWN_KEYS) else task.key or ""
    yield "attempt", f"{task.attempt} of {task.max_attempts}"
    yield "worker", task.worker_id or ""
    yield "created", output.moment(task.created_at) + _creator(task)
    yield "due", output.moment(task.due_at)
    yield "started", output.moment(task.started_at)
    yield "finished", output.moment(task.finished_at)
    yield "prompt", task.prompt or ""
    yield "spec", dense(task.spec)
    yield "environment", ", ".join(sorted(task.environment))
    yield "question", task.question or ""
    yield "options", " · ".join(task.parked.options) if task.parked else ""
    yield "answer", task.answer or ""
    yield "message", (task.parked.message or "") if task.parked else ""
    yield "session", task.session_id or ""
    yield "progress", (task.progress.message or "") if task.progress else ""
    yield "usage", dense(task.usage)
    yield "error", f"{task.error.type}: {task.error.message}" if task.error else ""
    match task.result:
        case {"text": str(words), "agent": str(), "session_id": _, **more}:
            yield "result", words
            yield from _worktree(more.get("worktree"))
        case other:
            yield "result", dense(other)


def _worktree(told: Any) -> Iterator[tuple[str, str]]:
    """Where an agent worked, and what is there."""
    if isinstance(told, dict):
        commits = told.get("commits")
        yield (
            "branch",
            f"{told.get('branch')}, {commits} commit{'' if commits == 1 else 's'}\n{told.get('diff_stat', '')}".strip(),
        )
        yield "worktree", str(told.get("worktree")) + (f", kept: {told['kept']}" if told.get("kept") else "")


def _creator(task: Task) -> str:
    """What created a task by itself, if anything did."""
    if task.run_id is not None:
        return f" by run {task.run_id}, step {task.step_id}"
    return "" if task.schedule_id is None else f" by schedule {task.schedule_id}"


def attempts(made: list[Attempt]) -> Table:
    """Attempts of a task, in their order."""
    rows = (
        (
            str(one.attempt),
            output.status(one.outcome),
            output.moment(one.started_at),
            output.duration(output.between(one.started_at, one.ended_at)),
            one.worker_id or "",
            (one.error.message if one.error else one.reason or "").partition("\n")[0],
        )
        for one in made
    )
    return output.table("ATTEMPT", "OUTCOME", "STARTED", "TOOK", "WORKER", "WHY", rows=rows, right=("ATTEMPT", "TOOK"))


def denials(made: list[Attempt]) -> list[Text]:
    """What an agent was not allowed to do in the last attempt: the likeliest reason for half of the work."""
    denied = made[-1].evidence.get("denials") if made else None
    if not isinstance(denied, list) or not denied:
        return []
    return [Text("not allowed in the last attempt:\n" + "\n".join(f"  {call}" for call in denied))]


def obstacles(reasons: Why) -> Iterator[Any]:
    """What is in a task's way."""
    yield Text.assemble(f"task {reasons.id} is ", output.status(reasons.status), f": {reasons.summary}")
    if [one.message for one in reasons.obstacles] == [reasons.summary]:
        return
    for one in reasons.obstacles:
        yield Text.assemble("  ", (one.code, "bold"), f"  {one.message}")


def workers(seen: list[Worker]) -> Table:
    """Workers, a line each."""
    rows = (
        (
            one.worker_id,
            one.host,
            "drains" if one.draining else "asks" if one.polling else "works" if one.holds else "away",
            output.duration(output.between(one.last_seen_at, None)),
            ", ".join(one.kinds),
            ", ".join(one.work_paths),
            ", ".join(f"{held.task_id} {held.title or ''}".strip() for held in one.holds),
        )
        for one in seen
    )
    return output.table("WORKER", "HOST", "NOW", "SEEN", "KINDS", "DIRECTORIES", "HOLDS", rows=rows, right=("SEEN",))


def accounts(listed: list[Account]) -> Table:
    """Accounts, a line each."""
    rows = (
        (
            one.account,
            output.moment(one.held_until) if one.held_until else "may be used",
            str(one.parked),
            (one.reason or "").partition("\n")[0],
        )
        for one in listed
    )
    return output.table("ACCOUNT", "WAITS UNTIL", "TASKS", "WHY", rows=rows, right=("TASKS",))


def statistics(numbers: Statistics) -> Iterator[Any]:
    """Counts, throughput and durations."""
    counts = ", ".join(f"{count} {name}" for name, count in numbers.by_status.items() if count)
    yield f"{numbers.total} tasks" + (f": {counts}" if counts else "")
    if numbers.oldest_waiting_seconds is not None:
        yield f"oldest waiting: {output.duration(numbers.oldest_waiting_seconds)}"
    spans = numbers.durations
    if spans.count:
        ms = (output.duration(None if one is None else one / 1000) for one in (spans.p50_ms, spans.p95_ms, spans.p99_ms))
        yield "attempts of the last day: {} completed; p50 {}, p95 {}, p99 {}".format(spans.count, *ms)
    yield _throughput(numbers)
    if numbers.usage.last_30_days.attempts or numbers.usage.last_30_days.input_tokens:
        yield _used(numbers)
    if numbers.by_directory:
        yield _directories(numbers)


def _throughput(numbers: Statistics) -> Table:
    headers = ("LAST", "CREATED", "COMPLETED", "FAILED", "CANCELLED", "PER SECOND")
    rows = (
        (span, str(one.created), str(one.completed), str(one.failed), str(one.cancelled), f"{one.per_second:.2f}")
        for span, one in numbers.throughput.items()
    )
    return output.table(*headers, rows=rows, right=headers[1:])


def _used(numbers: Statistics) -> Table:
    spans = {"today": numbers.usage.today, "7 days": numbers.usage.last_7_days, "30 days": numbers.usage.last_30_days}
    headers = ("USED", "ATTEMPTS", "INPUT", "OUTPUT", "COST")
    rows = (
        (span, f"{one.attempts:,}", f"{one.input_tokens:,}", f"{one.output_tokens:,}", f"${one.cost_usd:,.2f}")
        for span, one in spans.items()
    )
    return output.table(*headers, rows=rows, right=headers[1:])


def _directories(numbers: Statistics) -> Table:
    found = [name for name in numbers.by_status if any(one.by_status.get(name) for one in numbers.by_directory)]
    columns = (*(name.upper() for name in found), "OLDEST WAITING")
    rows = (
        (
            one.work_directory,
            *(str(one.by_status.get(name, 0)) for name in found),
            output.duration(one.oldest_waiting_seconds),
        )
        for one in numbers.by_directory
    )
    return output.table("DIRECTORY", *columns, rows=rows, right=columns)
