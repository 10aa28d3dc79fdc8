"""What is said over one WebSocket: events, output and numbers as asked for, and what the client asks; loaded for the first."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import msgspec
from litestar.datastructures import State

from orchestrator.domain.principal import PathScope
from orchestrator.doors.keyring import Caller
from orchestrator.http.body import decoded
from orchestrator.http.delivery import Line
from orchestrator.http.events import place, shown_event, shown_to, topics
from orchestrator.http.frames import Socket
from orchestrator.http.measuring import METRICS_S
from orchestrator.queue.cursor import Cursor, Told
from orchestrator.queue.output import Output
from orchestrator.queue.topics import Topics
from orchestrator.store.protocol import FeedEvent
from worker_client.contract.sockets import ReadSocket, SocketEvent, Subscribe, Wanted
from worker_client.errors import OrchestratorError, RateLimited, ValidationFailed

MESSAGE_BYTES: Final = 64 * 1024
FRAMES_A_SECOND: Final = 200
KEEP_ALIVE_S: Final = 15.0
PING_S: Final = 20.0
CLOSE_S: Final = 1.0
_STUCK_S: Final = 60.0
"""A reader that takes nothing for so long is not there any more; it can resume."""
_PAUSE_S: Final = 0.05
"""Between two subscriptions: each has the database asked."""
_GATHERED: Final = 1_000
_GOING_AWAY: Final = 1001
_POLICY: Final = 1008
_SILENT: Final = 1011
_NOTHING: Final = Topics(visible=PathScope(()))
_encode = msgspec.json.Encoder().encode


class Ended(msgspec.Struct, frozen=True):
    """How a conversation ended: the code and the reason that the client is told."""

    code: int = 1000
    reason: str = ""


class Conversation:
    """One client; `to` is the way to it. What it is sent is written as it takes it, so that nothing gathers."""

    def __init__(self, state: State, caller: Caller, query: ReadSocket, to: Line | None) -> None:
        self._state = state
        self._caller = caller
        self._by = caller.principal
        self._query = query
        self._socket = Socket(MESSAGE_BYTES)
        self._to = to
        self._place = query.after
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._ended: Ended | None = None
        self._heard_at = self._now()
        self._second, self._budget = 0, 0

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # What the client says

    def hear(self, data: bytes) -> None:
        """Bytes from the client."""
        self._heard_at = now = self._now()
        if int(now) != self._second:
            self._second, self._budget = int(now), FRAMES_A_SECOND
        messages, self._budget = self._socket.hear(data, self._budget)
        for message in messages:
            self._listen(message)
        self._write(self._socket.unsent())
        if self._budget <= 0:
            self._end(Ended(_POLICY, f"more than {FRAMES_A_SECOND} frames in a second"))
        if self._socket.over:
            self._end(Ended())

    def _listen(self, message: bytes | None) -> None:
        try:
            self._count()
            query = _subscription(message)
            topics(query, self._by)
        except RateLimited as error:
            self._end(Ended(_POLICY, error.message[:100]))
        except OrchestratorError as error:
            self._say(SocketEvent.ERROR, None, error.body)
        else:
            self._query = query
            self._place = query.after or self._place
            self._changed.set()

    def _count(self) -> None:
        """A message is a request as any other. Raises RateLimited."""
        doors = self._state.doors
        if not doors.open:
            allowance = doors.rates.take(self._by.id, self._caller.rate or doors.settings.limits.rate)
            if not allowance.allowed:
                raise RateLimited("more messages and requests than this key may send", retry_after=allowance.retry_s)

    def _end(self, ended: Ended) -> None:
        self._ended = self._ended or ended
        self._over.set()

    # What it is told

    async def run(self) -> Ended:
        """Talk until the client or the server has had enough. Raises TimeoutError, StoreAwayError, Overloaded."""
        while True:
            self._changed.clear()
            parts = [asyncio.ensure_future(part) for part in self._parts()]
            waits = [asyncio.ensure_future(one.wait()) for one in (self._changed, self._over)]
            try:
                await asyncio.wait([*parts, *waits], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in (*parts, *waits):
                    one.cancel()
                await asyncio.gather(*parts, *waits, return_exceptions=True)
            if self._ended is not None:
                return self._ended
            for part in parts:
                if not part.cancelled():
                    return part.result()
            await asyncio.sleep(_PAUSE_S)

    def _parts(self) -> list[Coroutine[Any, Any, Ended]]:
        wanted = set(self._query.events)
        ready = asyncio.Event()
        parts = [self._events(ready, told=Wanted.TASK_EXECUTION in wanted), self._pings()]
        if Wanted.EXECUTION_LOGS in wanted:
            parts.append(self._output(ready))
        else:
            ready.set()
        if Wanted.SYSTEM_METRICS in wanted:
            parts.append(self._metrics())
        return parts

    async def end(self, ended: Ended) -> None:
        """Say goodbye, and give the client a moment to answer."""
        self._over.clear()
        self._write(self._socket.close(ended.code, ended.reason.encode()[:120].decode("utf-8", "ignore")))
        if not self._socket.over:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._over.wait()
            except TimeoutError:
                pass

    async def _events(self, ready: asyncio.Event, *, told: bool) -> Ended:
        query, state = self._query, self._state
        wanted = topics(query, self._by) if told else _NOTHING
        cursor = Cursor(state.queue, state.board, state.store.epoch, wanted, live=query.live and told)
        with cursor:
            lost = await cursor.begin(self._place)
            # Whoever has the first mark hears of all that is done from then on.
            await ready.wait()
            self._tell(cursor, Told(lost=lost), mark=lost is None)
            marked = self._now()
            while not cursor.over:
                told_now = await self._next(cursor, query.coalesce_ms, marked + KEEP_ALIVE_S - self._now())
                mark = self._now() - marked >= KEEP_ALIVE_S
                if self._tell(cursor, told_now, mark=mark):
                    marked = self._now()
                    await self._room()
                    await cursor.rest(query.coalesce_ms / 1000)
        return Ended(_GOING_AWAY, "the server stops: come back, and resume")

    @staticmethod
    async def _next(cursor: Cursor, coalesce_ms: int, within: float) -> Told:
        """What is next; with `coalesce_ms` all that there is by now, and of each task the newest."""
        told = await cursor.next(within)
        if not coalesce_ms or not told.events:
            return told
        newest: dict[int, FeedEvent] = {}
        while True:
            for event in told.events:
                key = event.task_id or -event.id
                newest.pop(key, None)
                newest[key] = event
            if told.lost is not None or cursor.joined or len(newest) > _GATHERED:
                return Told(list(newest.values()), told.hints, told.lost)
            told = await cursor.next(0)

    def _tell(self, cursor: Cursor, told: Told, *, mark: bool) -> bool:
        """Write it, and know from then on where to go on; whether there was anything."""
        show = shown_to(self._by)
        for event in (*told.events, *told.hints):
            at = place(cursor.epoch, event).decode() if event.id else None
            self._say(SocketEvent.TASK_EXECUTION, at, shown_event(cursor.epoch, show(event)))
        if told.lost is not None:
            self._say(SocketEvent.RESET, cursor.mark, told.lost)
        elif mark:
            self._say(SocketEvent.MARK, cursor.mark, None)
        self._place = cursor.mark
        return bool(told.events or told.hints or told.lost or mark)

    async def _output(self, ready: asyncio.Event) -> Ended:
        """New lines of the tasks of the filter."""
        queue, wanted = self._state.queue, topics(self._query, self._by)
        with Output(queue, self._state.board, wanted) as output:
            await output.begin()
            ready.set()
            while True:
                async for news in output.next():
                    self._say(SocketEvent.EXECUTION_LOGS, None, news)
                    await self._room()

    async def _metrics(self) -> Ended:
        while True:
            self._say(SocketEvent.SYSTEM_METRICS, None, await self._state.measuring.now(self._by))
            await self._room()
            await asyncio.sleep(METRICS_S)

    async def _pings(self) -> Ended:
        while True:
            asked_at = self._now()
            await asyncio.sleep(PING_S)
            if self._heard_at < asked_at - PING_S:
                return Ended(_SILENT, "nothing was heard for long")
            self._write(self._socket.ping())

    async def _room(self) -> None:
        if self._to is not None:
            async with asyncio.timeout(_STUCK_S):
                await self._to.writable()

    def _say(self, event: SocketEvent, place: str | None, data: object) -> None:
        self._write(self._socket.text(_encode({"event": event, "id": place, "data": data})))

    def _write(self, data: bytes) -> None:
        if self._to is not None:
            self._to.say(data)


def _subscription(message: bytes | None) -> ReadSocket:
    """What a message asks for. Raises ValidationFailed."""
    if message is None:
        raise ValidationFailed('this message is no text: send JSON as text, such as {"subscribe": {}}', field="")
    return decoded(message, Subscribe).subscribe
