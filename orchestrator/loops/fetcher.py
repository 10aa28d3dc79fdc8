"""Asks GitHub for what deliveries omit, so that nobody waits for it while a call is answered; and writes down who was refused."""

import asyncio
import importlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog

from orchestrator.domain.delivering import Pending, pending_of
from orchestrator.domain.outcomes import Received
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.records import Delivery
from orchestrator.domain.task import Millis
from orchestrator.domain.trigger_operations import Postpone, Settle
from orchestrator.queue.commit import Queue
from orchestrator.settings import GitHub
from orchestrator.telemetry import tracing
from orchestrator.telemetry.metrics import Metrics
from orchestrator.triggers.github import globs
from orchestrator.triggers.github.event import MOST_FILES
from orchestrator.triggers.refusals import Refusals
from orchestrator.triggers.telling import told
from worker_client.contract.enums import DeliveryOutcome
from worker_client.contract.fields import JsonObject

log = structlog.get_logger()

LOOK_S: Final = 1.0
ASKED_S: Final = 60.0
"""All pages of an answer."""
FIRST_MS: Final = 2_000
"""After the first answer that is none; after each further one twice as long."""
LONGEST_MS: Final = 120_000
_AT_ONCE: Final = 50
_encode: Final = msgspec.json.Encoder().encode


class Fetcher:
    """`settings` gives those of GitHub in force, `wall` the seconds since 1970."""

    def __init__(
        self, queue: Queue, refusals: Refusals, metrics: Metrics, settings: Callable[[], GitHub], wall: Callable[[], float]
    ) -> None:
        self._queue = queue
        self._refusals = refusals
        self._metrics = metrics
        self._settings = settings
        self._wall = wall
        self._app: Any = None
        self._app_of: GitHub | None = None
        self._client: Any = None

    async def once(self, now: Millis) -> int:
        """Ask for what is due; how many deliveries that concerned."""
        for op in self._refusals.due():
            await self._queue.submit(op, SYSTEM)
        rows = await self._queue.reads.fetching(now, _AT_ONCE)
        alike: dict[bytes, list[tuple[Delivery, Pending]]] = defaultdict(list)
        for row in rows:
            pending = pending_of(row.pending or "")
            alike[_encode(pending.wants)].append((row, pending))
        await asyncio.gather(*(self._asked(group, now) for group in alike.values()))
        return len(rows)

    async def _asked(self, group: Sequence[tuple[Delivery, Pending]], now: Millis) -> None:
        """Ask once for all deliveries that want the same."""
        api = importlib.import_module("orchestrator.triggers.github.api")
        found, why, after_s = None, "", None
        try:
            async with asyncio.timeout(ASKED_S):
                found = await self._github(api).asked(group[0][1].wants)
        except TimeoutError:
            why = "GitHub takes too long"
        except api.LaterError as error:
            why, after_s = str(error), error.after_s
        except api.NeverError as error:
            why, now = str(error), max(pending.until for _, pending in group)
        except Exception as error:
            log.exception("GitHub's answer was not understood")
            why = f"GitHub's answer was not understood: {type(error).__name__}"
        for row, pending in group:
            if found is not None:
                await self._settle(row, *_completed(pending, found))
                continue
            wait = FIRST_MS * 2 ** min(row.tries, 10) if after_s is None else round(1000 * after_s)
            due_at = now + (min(wait, LONGEST_MS) if after_s is None else wait)
            if due_at <= pending.until:
                await self._queue.submit(Postpone(delivery_id=row.id, due_at=due_at, reason=why), SYSTEM)
            else:
                # A run with what is known is better than none.
                await self._settle(row, DeliveryOutcome.FIRED, f"without what GitHub was asked for: {why}", pending.input)

    async def _settle(self, row: Delivery, outcome: DeliveryOutcome, reason: str | None, input: JsonObject) -> None:
        op = Settle(delivery_id=row.id, outcome=outcome, reason=reason, input=_encode(input).decode())
        with tracing.work("settle") as trace:
            settled = await self._queue.submit(op, SYSTEM, trace)
            if isinstance(settled, Received):
                told(settled.delivery, self._metrics)

    def _github(self, api: Any) -> Any:
        """The App of the settings in force. Raises NeverError."""
        settings = self._settings()
        if self._app is None or settings is not self._app_of:
            if self._client is None:
                self._client = api.httpx.AsyncClient(follow_redirects=False)
            self._app, self._app_of = api.App(settings, self._client, self._wall), settings
        return self._app

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        try:
            while True:
                try:
                    await self.once(self._queue.now())
                except Exception:
                    if self._queue.away is None:
                        log.exception("the fetcher failed and goes on")
                await asyncio.sleep(LOOK_S)
        finally:
            await self.close()


def _completed(pending: Pending, found: Any) -> tuple[DeliveryOutcome, str | None, JsonObject]:
    """What comes of a delivery, now that all is known."""
    context = {**pending.input, "changed_files": found.files[:MOST_FILES], "changed_files_complete": found.complete}
    if found.commits is not None:
        context["commits"] = found.commits[-100:]
    if pending.paths and found.complete and not globs.files(pending.paths, found.files):
        return DeliveryOutcome.FILTERED, "paths: no file that changed matches", context
    return DeliveryOutcome.FIRED, None, context
