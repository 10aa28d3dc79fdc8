"""The feed as server-sent events: resumable, filtered, and never ahead of its reader."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from typing import Any, Final

import msgspec
import structlog
from litestar import get
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send
from msgspec import Raw
from msgspec.structs import replace

from orchestrator.domain.drafting import work_path
from orchestrator.domain.moments import moment
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.http.body import ClientGoneError
from orchestrator.http.delivery import unless_gone
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import parse
from orchestrator.http.scope import HEAD, Asked, hold, principal
from orchestrator.http.slots import slot
from orchestrator.queue.commit import Queue
from orchestrator.store.protocol import FeedEvent, StoreAwayError
from orchestrator.store.veiling import veiled_event
from worker_client.contract import enums
from worker_client.contract.events import Event, ReadEvents
from worker_client.errors import Overloaded, Unauthorized

KEEP_ALIVE_S: Final = 15.0
RETRY_MS: Final = 1000
BEHIND: Final = 100_000
"""Events that a reader may miss and still read on; with more it is quicker to read the present state."""
_PAGE: Final = 500
_STUCK_S: Final = 60.0
"""A reader that takes nothing for so long is not there any more; it can resume."""
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_encode = msgspec.json.Encoder().encode
log = structlog.get_logger()
Wanted = Callable[[FeedEvent], bool]
Shown = Callable[[FeedEvent], FeedEvent]


class Lost(msgspec.Struct, frozen=True):
    """Why a reader cannot go on where it was: `data` of the `reset` event."""

    reason: str
    message: str


def _whole(event: FeedEvent) -> FeedEvent:
    return event


class EventStream:
    """The frames of one reader: pulled by whoever writes them, so that nothing gathers for one that does not read.

    `shown` is what the reader may see of an event.
    """

    def __init__(
        self,
        queue: Queue,
        epoch: str,
        wanted: Wanted,
        shown: Shown = _whole,
        *,
        keep_alive: float = KEEP_ALIVE_S,
    ) -> None:
        self._queue = queue
        self._feed = queue.feed
        self._epoch = epoch
        self._wanted = wanted
        self._shown = shown
        self._keep_alive = keep_alive
        self._at = 0

    async def frames(self, last_event_id: str | None) -> AsyncGenerator[bytes, None]:
        """From after the event with this id, or from now on when it is None; until the server drains."""
        loop = asyncio.get_running_loop()
        with self._feed.reader() as bell:
            yield b"retry: %d\n" % RETRY_MS + await self._begin(last_event_id)
            told = loop.time()
            while not self._feed.draining:
                bell.clear()
                frames = await self._next()
                if frames:
                    yield frames
                    told = loop.time()
                elif frames is None:
                    await _rings(bell, told + self._keep_alive - loop.time())
                if loop.time() - told >= self._keep_alive:
                    yield b": keep-alive\n" + self._mark()
                    told = loop.time()

    async def _begin(self, last_event_id: str | None) -> bytes:
        self._at = self._feed.last_id
        if last_event_id is None:
            return self._mark()
        epoch, _, number = last_event_id.rpartition("-")
        if epoch != self._epoch:
            return self._reset(Lost("epoch", "this id is of another database, or of the time before a restore"))
        if not (number.isascii() and number.isdecimal()) or len(number) > 19:
            return self._reset(_UNKNOWN)
        if int(number) > self._at:
            # Another server, which its reader comes from, may have told of it before this one has heard of it.
            await self._queue.catch_up()
            if int(number) > self._feed.last_id:
                return self._reset(_UNKNOWN)
        first, _ = await self._queue.reads.event_bounds()
        if int(number) + 1 < first:
            return self._reset(_PRUNED)
        self._at = int(number)
        return self._mark()

    async def _next(self) -> bytes | None:
        """The next frames, empty when nothing in them is wanted; None when there are no further events."""
        if self._feed.last_id - self._at > BEHIND:
            return self._reset(Lost("behind", f"more than {BEHIND} events were missed"))
        page = self._feed.after(self._at, _PAGE)
        if page is None:
            page = await self._queue.reads.events(self._at, _PAGE, EVERYWHERE)
            if (not page or page[0].id > self._at + 1) and self._at + 1 < (await self._queue.reads.event_bounds())[0]:
                return self._reset(_PRUNED)
        else:
            # A reader that catches up from memory would let nobody else go on meanwhile.
            await asyncio.sleep(0)
        if not page:
            return None
        self._at = page[-1].id
        return b"".join([_frame(self._epoch, self._shown(event)) for event in page if self._wanted(event)])

    def _reset(self, lost: Lost) -> bytes:
        self._at = self._feed.last_id
        return b"event: reset\nid: %s-%d\ndata: %s\n\n" % (self._epoch.encode(), self._at, _encode(lost))

    def _mark(self) -> bytes:
        """Where to resume, without an event: also for readers to whom little of what happens matters."""
        return b"id: %s-%d\n\n" % (self._epoch.encode(), self._at)


_UNKNOWN: Final = Lost("unknown", "there is no event with this id")
_PRUNED: Final = Lost("pruned", "what followed this event is no longer kept")


async def _rings(bell: asyncio.Event, within: float) -> None:
    try:
        async with asyncio.timeout(within):
            await bell.wait()
    except TimeoutError:
        pass


@lru_cache(4096)
def _frame(epoch: str, event: FeedEvent) -> bytes:
    shown = shown_event(epoch, event)
    return b"id: %s\ndata: %s\n\n" % (shown["id"].encode(), _encode(shown))


def shown_event(epoch: str, event: FeedEvent) -> dict[str, Any]:
    """An Event of the contract, its `data` still as text."""
    return {
        "id": f"{epoch}-{event.id}",
        "type": event.type,
        "at": moment(event.at),
        "task_id": event.task_id or None,
        "work_directory": event.path,
        "host": event.host,
        "status": event.status,
        "data": Raw(event.data.encode()),
    }


def wanted(query: ReadEvents, visible: PathScope, *, administers: bool = False) -> Wanted:
    """Whether a reader asked for an event, and may see it; work paths must be canonical.

    What is about the server itself is for those alone who administer it.
    """
    asked = (
        EVERYWHERE if query.work_path is None else PathScope(tuple(Pattern(path, query.recursive) for path in query.work_path))
    )
    types = None if query.type is None else frozenset(query.type)
    tasks = None if query.task_id is None else frozenset(query.task_id)

    def matches(event: FeedEvent) -> bool:
        return (
            (types is None or event.type in types)
            and (tasks is None or event.task_id in tasks)
            and (visible.covers(event.path) if event.path else administers)
            and asked.covers(event.path)
        )

    return matches


class Streamed(ASGIResponse):
    """An answer that goes on until its frames end or its reader hangs up."""

    __slots__ = ("_frames", "_request")

    def __init__(self, request: Asked, frames: AsyncGenerator[bytes, None]) -> None:
        self._request = request
        self._frames = frames

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Write frames as fast as the reader takes them. Raises RateLimited when too many of its key read."""
        with slot(self._request, "streams"):
            await self._stream(send)

    async def _stream(self, send: Send) -> None:
        hold(self._request)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if HEAD in self._request.scope:
            await self._frames.aclose()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        try:
            await unless_gone(self._request, asyncio.ensure_future(self._write(send)))
        except (ClientGoneError, TimeoutError):
            return
        except Unauthorized:
            # What is sent already cannot be taken back; the reader learns why when it comes again.
            log.debug("a reader of events is let go, as it may no longer be here")
        except (StoreAwayError, Overloaded):
            # The reader comes again, and resumes.
            log.debug("a reader of events is let go, as the database is away")
        finally:
            await self._frames.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        async for frame in self._frames:
            async with asyncio.timeout(_STUCK_S):
                await send({"type": "http.response.body", "body": frame, "more_body": True})


@get("/events", opt=described(Event, query=ReadEvents, bare=True, media=("text/event-stream",)), scope=enums.Scope.READ)
async def read_events(request: Asked) -> Streamed:
    """Follow what happens, as server-sent events.

    From now on, or after the event that `Last-Event-ID` (or `after`) names. An event `reset` says that events were missed:
    read the present state again. Filters of one name are alternatives.
    """
    query = parse(request, ReadEvents)
    if query.work_path is not None:
        query = replace(query, work_path=[work_path(path, "work_path") for path in query.work_path])
    state, by = request.app.state, principal(request)
    shown = _whole if by.paths.patterns is None else veiled_event
    stream = EventStream(state.queue, state.store.epoch, wanted(query, by.paths, administers=by.administers), shown)
    return Streamed(request, stream.frames(request.headers.get("last-event-id") or query.after))


HANDLERS = tagged((read_events,), "Events")
