"""What `orchestrator-worker run --live` shows at a terminal: each place of each Worker, and why one does nothing."""

import asyncio
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from worker_client.crew import Crew
from worker_client.job import Job
from worker_client.worker import Worker

REFRESH_SECONDS: Final = 0.5


async def show(crew: Crew, console: Console) -> None:
    """Keep the picture up to date, until cancelled; what is logged meanwhile scrolls by above it."""
    with Live(console=console, auto_refresh=False, redirect_stdout=False) as live:
        try:
            while True:
                live.update(picture(crew), refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)
        finally:
            live.update(Text(""), refresh=True)


def picture(crew: Crew) -> RenderableType:
    """All of it, as it is now."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, expand=True)
    for heading in ("worker", "task", "directory", "time", "used"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in {"time", "used"} else "left")
    table.add_column("last said", ratio=1, no_wrap=True, overflow="ellipsis")
    for worker in crew.workers:
        name = worker.agent or "other kinds"
        for job in worker.jobs:
            table.add_row(name, f"{job.task.id}", job.task.work_directory, _elapsed(job.seconds), _used(job), Text(job.last_line))
            name = ""
        if worker.free:
            table.add_row(name, *[""] * 4, _idle(crew, worker))
    return Group(table, Text("Ctrl-C drains, twice gives everything back", style="dim"))


def _idle(crew: Crew, worker: Worker) -> Text:
    """Why places are free."""
    if worker.unable is not None:
        return Text(f"can't work: {worker.unable}", style="red")
    if crew.shift.over.is_set():
        return Text("asks for nothing more", style="yellow")
    if worker.trouble is not None:
        return Text(worker.trouble, style="red")
    waits = f"{worker.free} free, asking"
    if worker.quota_until is not None:
        until = worker.quota_until.astimezone()
        return Text(f"{waits}; its quota was used up, until {until:%Y-%m-%d %H:%M}", style="yellow")
    return Text(waits, style="dim")


def _used(job: Job) -> str:
    """Tokens and money."""
    usage = job.usage
    if usage is None:
        return ""
    tokens = usage.input_tokens + usage.output_tokens
    parts = [f"{tokens / 1000:.1f}k" if tokens >= 1000 else f"{tokens}"] if tokens else []
    return " ".join([*parts, f"${usage.cost_usd:.2f}"] if usage.cost_usd else parts)


def _elapsed(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
