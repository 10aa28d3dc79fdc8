"""One run of an agent's command line: started, read while it speaks, ended when it is silent for too long or has said all."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import psutil

from worker_client.contract.enums import LogStream
from worker_client.output import WholeLines
from worker_client.processes import Ended, ProcessTree
from worker_client.runners.agent.protocol import Launch, Reader, Report
from worker_client.runners.base import RunContext
from worker_client.runners.programs import execute

FINISH_SECONDS: Final = 10.0
"""How long a command line may take to end after it has said its last word."""
STOP_GRACE: Final = 10.0
INTERRUPT_SECONDS: Final = 3.0
MOST_NAME: Final = 255
MOST_ACTIVITY: Final = 1000


class Run:
    """`stalled`: it was ended for being silent; `stopped`: because the work has to stop.

    `ended`, `told_end`: how the program ended, also in words.
    """

    def __init__(self, context: RunContext, reader: Reader, *, stall_seconds: float, told: Callable[[Report], None]) -> None:
        self._context = context
        self._reader = reader
        self.stall_seconds = stall_seconds
        self._told = told
        self._began = self._heard_at = time.monotonic()
        self._finished = asyncio.Event()
        self.stalled = False
        self.stopped = False
        self.pid: int | None = None
        self.started_at = datetime.now(UTC)
        self.duration_ms = 0
        self.ended = Ended(None, None, 0.0, 0)
        self.tail = ""
        self.told_end = ""

    async def go(self, launch: Launch, environment: Mapping[str, str], own: Mapping[str, str | None]) -> None:
        """Run it to its end; when cancelled, end it and return: what it did until then counts."""
        try:
            ran = await execute(
                self._context,
                launch.argv,
                environment,
                own={**own, **launch.environment},
                stdin=launch.stdin,
                splitter=WholeLines,
                take=self._take,
                watch=self._watch,
                stop=self._stop,
            )
        except asyncio.CancelledError:
            self.stopped = True
        else:
            self.ended, self.tail, self.told_end = ran.ended, ran.tail, ran.told("it")
        self.duration_ms = int((time.monotonic() - self._began) * 1000)

    async def _stop(self, tree: ProcessTree, grace: float) -> None:
        """As Ctrl-C does at first: Claude Code then says what it has used."""
        patience = min(INTERRUPT_SECONDS, grace / 3)
        with contextlib.suppress(psutil.Error):
            for program in psutil.Process(tree.pid).children():
                program.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(patience):
                self.ended = await tree.wait()
        except TimeoutError:
            self.ended = await tree.stop(grace - patience)

    def _take(self, line: str, stream: LogStream) -> Iterable[str]:
        self._heard_at = time.monotonic()
        shown = self._reader.line(line, stream)
        _keep_within_bounds(self._reader.report)
        self._told(self._reader.report)
        if self._reader.report.finished:
            self._finished.set()
        else:
            self._finished.clear()
        return shown

    async def _watch(self, tree: ProcessTree) -> None:
        self.pid = tree.pid
        while True:
            if self._finished.is_set():
                await asyncio.sleep(FINISH_SECONDS)
                if self._finished.is_set():
                    break
            left = self._heard_at + self.stall_seconds - time.monotonic()
            if left <= 0:
                self.stalled = True
                self._context.log(f"silent for {self.stall_seconds:g} s: it is ended", LogStream.SYSTEM)
                await self._stop(tree, STOP_GRACE)
                return
            try:
                async with asyncio.timeout(left):
                    await self._finished.wait()
            except TimeoutError:
                continue
        self._context.log(f"still running {FINISH_SECONDS:g} s after its last word: it is ended", LogStream.SYSTEM)
        await tree.stop(STOP_GRACE)


def _keep_within_bounds(report: Report) -> None:
    """A heartbeat that the server refuses would cost the lease."""
    if report.session_id is not None and len(report.session_id) > MOST_NAME:
        report.session_id = None
    if report.usage.model is not None and len(report.usage.model) > MOST_NAME:
        report.usage.model = report.usage.model[:MOST_NAME]
    if report.activity is not None:
        report.activity = report.activity[:MOST_ACTIVITY]
