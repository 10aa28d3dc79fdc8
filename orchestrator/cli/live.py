"""What `watch` shows while it runs: the present from lists, the past from the feed."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from orchestrator.cli import output
from orchestrator.cli.feed import line
from orchestrator.cli.views import tasks
from worker_client import endpoints
from worker_client.client import AsyncClient
from worker_client.contract.enums import Status
from worker_client.contract.envelope import Page
from worker_client.contract.events import Event
from worker_client.contract.tasks import ListTasks, Task
from worker_client.errors import ServerUnreachable
from worker_client.exchange import Retries
from worker_client.feed import Reset

PATIENT = Retries(attempts=None, seconds=86_400.0)
ONCE = Retries(attempts=1)
REFRESH_SECONDS = 1.0
SETTLE_SECONDS = 0.15
"""Events come in bursts; one look at the lists covers a burst."""
SHOWN = 50
HEADINGS = 18


class Watching:
    """Watches the directories below `work_paths`, or all; a restarted server is waited for."""

    def __init__(self, url: str, api_key: str | None, work_paths: Sequence[str]) -> None:
        self._url = url
        self._api_key = api_key
        self._filters: dict[str, Any] = {"work_path": list(work_paths), "recursive": True} if work_paths else {}
        self._events: deque[Text] = deque(maxlen=SHOWN)
        self._pages: dict[str, Page[Task]] = {}
        self._silent_since: float | None = None
        self._news = asyncio.Event()

    async def lines(self, *, as_json: bool) -> None:
        """Print a line per event."""
        async with self._connected() as client:
            async for event in self._feed(client):
                if as_json:
                    output.emit(event)
                else:
                    output.console().print(line(event), soft_wrap=True)

    async def screen(self) -> None:
        """Show a table of what runs and waits, with the latest events below."""
        async with self._connected() as client:
            following = asyncio.create_task(self._follow(client))
            try:
                with Live(console=output.console(), auto_refresh=False, screen=False) as live:
                    while not following.done():
                        await self._look(client)
                        live.update(self._render(), refresh=True)
                        await self._pause()
                await following
            finally:
                following.cancel()

    def _connected(self) -> AsyncClient:
        return AsyncClient(self._url, self._api_key, retries=PATIENT)

    async def _feed(self, client: AsyncClient) -> AsyncIterator[Event]:
        async for event in client.events(**self._filters):
            if not isinstance(event, Reset):
                yield event

    async def _follow(self, client: AsyncClient) -> None:
        async for event in self._feed(client):
            self._events.append(line(event))
            self._news.set()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return
        await asyncio.sleep(SETTLE_SECONDS)
        self._news.clear()

    async def _look(self, client: AsyncClient) -> None:
        try:
            for name in (Status.RUNNING, Status.WAITING):
                query = ListTasks(status=[name], limit=SHOWN, **self._filters)
                self._pages[name] = await client.send(endpoints.list_tasks(query), ONCE)
        except ServerUnreachable:
            self._silent_since = self._silent_since or time.monotonic()
        else:
            self._silent_since = None

    def _render(self) -> RenderableType:
        # Three lists share the terminal with their headings; what does not fit would be cut off at the end, where the news is.
        rows = max(1, (output.console().height - HEADINGS) // 3)
        parts: list[RenderableType] = [Text(f"{self._url}  (Ctrl-C ends)", style="dim")]
        if self._silent_since is not None:
            silence = output.duration(time.monotonic() - self._silent_since)
            parts.append(Text(f"no answer for {silence}, trying again", style="red"))
        for name, page in self._pages.items():
            parts.append(Text.assemble("\n", output.status(name), f"  {page.total}{'' if page.total_exact else ' or more'}"))
            if page.items:
                parts.append(tasks(page.items[:rows]))
        parts.append(Text("\nlatest", style="bold"))
        parts += list(self._events)[-rows:] or [Text("nothing happened yet", style="dim")]
        return Group(*parts)
