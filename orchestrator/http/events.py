"""The feed as server-sent events: resumable, filtered, and never ahead of its reader."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from typing import Final

import msgspec
import structlog
from litestar import get
from litestar.response.base import ASGIResponse
from litestar.types import Message, Receive, Scope, Send

from orchestrator.domain.drafting import work_path
from orchestrator.domain.moments import moment
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern, Principal
from orchestrator.domain.task import Millis
from orchestrator.http.body import ClientGoneError
from orchestrator.http.delivery import line, unless_gone
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import parse
from orchestrator.http.scope import HEAD, Asked, hold, principal
from orchestrator.http.slots import slot
from orchestrator.queue.cursor import Cursor, Lost, Told
from orchestrator.queue.topics import Topics
from orchestrator.store.protocol import FeedEvent, StoreAwayError
from orchestrator.store.veiling import veiled_event
from worker_client.contract import enums
from worker_client.contract.events import Event, ReadEvents
from worker_client.errors import Overloaded, Unauthorized

KEEP_ALIVE_S: Final = 15.0
RETRY_MS: Final = 1000
_STUCK_S: Final = 60.0
"""A reader that takes nothing for so long is not there any more; it can resume."""
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_encode = msgspec.json.Encoder().encode
_EVENT: Final = b'{%b"type":%b,"at":%b,"task_id":%b,"work_directory":%b,"host":%b,"status":%b,"data":%b}'
log = structlog.get_logger()
Shown = Callable[[FeedEvent], FeedEvent]


def whole(event: FeedEvent) -> FeedEvent:
    """All of an event."""
    return event


class EventStream:
    """The frames of one reader: pulled by whoever writes them, so that nothing gathers for one that does not read.

    `shown` is what the reader may see of an event.
    """

    def __init__(self, cursor: Cursor, shown: Shown = whole, *, keep_alive: float = KEEP_ALIVE_S) -> None:
        self._cursor = cursor
        self._shown = shown
        self._keep_alive = keep_alive

    async def frames(self, last_event_id: str | None) -> AsyncGenerator[bytes, None]:
        """From after the event with this id, or from now on when it is None; until the server drains."""
        loop = asyncio.get_running_loop()
        cursor = self._cursor
        with cursor:
            lost = await cursor.begin(last_event_id)
            yield b"retry: %d\n" % RETRY_MS + (self._mark() if lost is None else self._reset(lost))
            told_at = loop.time()
            while not cursor.over:
                told = await cursor.next(told_at + self._keep_alive - loop.time())
                if frames := self._frames(told):
                    yield frames
                    told_at = loop.time()
                if loop.time() - told_at >= self._keep_alive:
                    yield b": keep-alive\n" + self._mark()
                    told_at = loop.time()

    def _frames(self, told: Told) -> bytes:
        if told.lost is not None:
            return self._reset(told.lost)
        return b"".join([_frame(self._cursor.epoch, self._shown(event)) for event in (*told.events, *told.hints)])

    def _reset(self, lost: Lost) -> bytes:
        return b"event: reset\nid: %s\ndata: %s\n\n" % (self._cursor.mark.encode(), _encode(lost))

    def _mark(self) -> bytes:
        """Where to resume, without an event: also for readers to whom little of what happens matters."""
        return b"id: %s\n\n" % self._cursor.mark.encode()


def _frame(epoch: str, event: FeedEvent) -> bytes:
    shown = encoded(epoch, event)
    return b"id: %b\ndata: %b\n\n" % (place(epoch, event), shown) if event.id else b"data: %b\n\n" % shown


def place(epoch: str, event: FeedEvent) -> bytes:
    """The id of an event."""
    return b"%b-%d" % (epoch.encode(), event.id)


@lru_cache(4096)
def encoded(epoch: str, event: FeedEvent) -> bytes:
    """An Event of the contract as JSON, or a Hint when it has no place in the feed; made once for all who see the same.

    Put together from parts, which are mostly known from other events: that takes a quarter of the time.
    """
    identity = b'"id":"%b",' % place(epoch, event) if event.id else b""
    about = (
        _json(event.type),
        _time(event.at),
        b"%d" % event.task_id if event.task_id else b"null",
        _json(event.path),
        _json(event.host),
    )
    return _EVENT % (identity, *about, _json(event.status), event.data.encode())


def shown_event(epoch: str, event: FeedEvent) -> msgspec.Raw:
    """An Event of the contract, as a part of what is still to be encoded."""
    return msgspec.Raw(encoded(epoch, event))


@lru_cache(4096)
def _json(text: str | None) -> bytes:
    return _encode(text)


@lru_cache(256)
def _time(at: Millis) -> bytes:
    return _encode(moment(at))


def topics(query: ReadEvents, by: Principal) -> Topics:
    """What somebody asks for, and may see. Raises ValidationFailed."""
    paths = None if query.work_path is None else [work_path(path, "work_path") for path in query.work_path]
    return Topics(
        asked=EVERYWHERE if paths is None else PathScope(tuple(Pattern(path, query.recursive) for path in paths)),
        types=None if query.type is None else frozenset(query.type),
        tasks=None if query.task_id is None else frozenset(query.task_id),
        runs=None if query.run_id is None else frozenset(query.run_id),
        visible=by.paths,
        administers=by.administers,
    )


def shown_to(by: Principal) -> Shown:
    """What somebody may see of an event."""
    return whole if by.paths.patterns is None else veiled_event


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
        to = line(self._request.scope)
        async for frame in self._frames:
            part: Message = {"type": "http.response.body", "body": frame, "more_body": True}
            if to is not None and not to.full:
                await send(part)
                continue
            async with asyncio.timeout(_STUCK_S):
                await send(part)


@get("/events", opt=described(Event, query=ReadEvents, bare=True, media=("text/event-stream",)), scope=enums.Scope.READ)
async def read_events(request: Asked) -> Streamed:
    """Follow what happens, as server-sent events.

    From now on, or after the event that `Last-Event-ID` (or `after`) names. An event `reset` says that events were missed:
    read the present state again. Filters of one name are alternatives. With `live` come hints, too: messages without an id, of
    the types `task.progress` and `task.output`, which say what is new of a task without an event.
    """
    query, by = parse(request, ReadEvents), principal(request)
    state = request.app.state
    cursor = Cursor(state.queue, state.board, state.store.epoch, topics(query, by), live=query.live)
    stream = EventStream(cursor, shown_to(by))
    return Streamed(request, stream.frames(request.headers.get("last-event-id") or query.after))


HANDLERS = tagged((read_events,), "Events")
