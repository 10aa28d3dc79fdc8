"""What `watch` does while it runs: a line per event, or the screen."""

from collections.abc import Sequence
from typing import Any, Final

from orchestrator.cli import output
from orchestrator.cli.feed import line
from worker_client.client import AsyncClient
from worker_client.contract.events import Event
from worker_client.exchange import Retries

PATIENT: Final = Retries(attempts=None, seconds=86_400.0)


class Watching:
    """Watches the directories below `work_paths`, or all; a restarted server is waited for."""

    def __init__(self, url: str, api_key: str | None, work_paths: Sequence[str]) -> None:
        self._url = url
        self._api_key = api_key
        self._filters: dict[str, Any] = {"work_path": list(work_paths), "recursive": True} if work_paths else {}

    async def lines(self, *, as_json: bool) -> None:
        """Print a line per event."""
        async with self._connected() as client:
            async for event in client.events(**self._filters):
                if not isinstance(event, Event):
                    continue
                if as_json:
                    output.emit(event)
                else:
                    output.console().print(line(event), soft_wrap=True)

    async def screen(self) -> int:
        """Show what runs, what waits and what needs a person, until somebody ends it; returns the exit code."""
        from orchestrator.cli.watching.screen import Screen
        from orchestrator.cli.watching.terminal import Terminal

        async with self._connected() as client:
            return await Screen(self._url, client, self._filters, Terminal(output.console())).run()

    def _connected(self) -> AsyncClient:
        return AsyncClient(self._url, self._api_key, retries=PATIENT)
