"""The picture at the terminal."""

import asyncio
import io
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

import worker_client
from tests.unit.worker_client.peer import Peer
from tests.unit.worker_client.queue_peer import Queue
from tests.unit.worker_client.stage import HandClock, on_stage, script
from worker_client.cli.live import picture
from worker_client.contract.enums import ParkReason
from worker_client.contract.reports import Usage
from worker_client.crew import Crew
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Parked
from worker_client.worker import Worker


def text(crew: Crew) -> str:
    shown = io.StringIO()
    Console(file=shown, width=160).print(picture(crew))
    return shown.getvalue()


def test_what_is_done_and_why_nothing_is(tmp_path: Path) -> None:
    clock = HandClock()
    go = asyncio.Event()
    until = datetime.now(UTC) + timedelta(hours=3)

    async def work(context: RunContext) -> Parked:
        context.used(Usage(input_tokens=12_000, output_tokens=345, cost_usd=1.5))
        context.log("$ make test\n\n  12 passed ")
        await go.wait()
        return Parked(reason=ParkReason.QUOTA, not_before=until)

    async def scenario() -> None:
        options: dict[str, Any] = {"agent": "claude", "concurrency": 2, "clock": clock, "lease_seconds": 600}
        async with on_stage(tmp_path, lambda worker: worker.handler("agent")(work), **options) as stage:
            worker = stage.worker
            crew = Crew([worker], worker._shift)
            assert "2 free, asking" in text(crew)
            stage.queue.add(7, tmp_path, kind="agent")
            await stage.queue.until(lambda: stage.queue.text(7))
            clock.advance(83)
            seen = text(crew)
            for words in ("claude", str(tmp_path)[:20], "1:23", "12.3k $1.50", "12 passed", "1 free, asking"):
                assert words in seen
            go.set()
            await stage.end_of(7)
            while worker.jobs:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0)
            assert f"its quota was used up, until {until.astimezone():%Y-%m-%d %H:%M}" in text(crew)
            worker._asker.trouble = "no answer from http://127.0.0.1:8080"
            assert "no answer from" in text(crew)
            worker.give_up("not logged in")
            assert "can't work: not logged in" in text(crew)
            worker.unable = None
            worker.drain()
            assert "asks for nothing more" in text(crew)

    asyncio.run(scenario())


def test_a_line_with_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path) as stage:
            stage.queue.add(7, tmp_path, **script("echo '[red]x[/nothing]'; sleep 100"))
            await stage.queue.until(lambda: stage.queue.text(7))
            assert "[red]x[/nothing]" in text(Crew([stage.worker], stage.worker._shift))

    asyncio.run(scenario())


def run_live(tmp_path: Path, url: str, stderr: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(worker_client.__file__).parents[1]), "TERM": "xterm", "COLUMNS": "140"}
    command = [
        sys.executable,
        "-m",
        "worker_client.cli",
        "run",
        "--live",
        "--max-tasks",
        "1",
        "--dir",
        str(tmp_path),
        "--url",
        url,
    ]
    assert subprocess.run(command, env=environment, stderr=stderr, check=False, timeout=60).returncode == 0


def test_at_a_terminal_and_elsewhere(tmp_path: Path) -> None:
    queue = Queue()
    main, end = pty.openpty()
    with Peer(queue) as peer:
        queue.add(7, tmp_path, **script("echo working; sleep 1"))
        run_live(tmp_path, peer.url, end)
        os.close(end)
        seen = b""
        try:
            while chunk := os.read(main, 65_536):
                seen += chunk
        except OSError:  # that is how a terminal of Linux ends
            pass
        shown = seen.decode()
        assert "other kinds" in shown
        assert "working" in shown
        assert "task 7: done, now completed" in shown
        queue.add(8, tmp_path, **script("true"))
        with (tmp_path / "log").open("w") as log:
            run_live(tmp_path, peer.url, log.fileno())
        assert "other kinds" not in (tmp_path / "log").read_text()
        assert "\x1b" not in (tmp_path / "log").read_text()


def test_free_places(tmp_path: Path) -> None:
    assert Worker(directories=[tmp_path], concurrency=3).free == 3
