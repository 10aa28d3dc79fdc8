"""`Client` and `AsyncClient`: two small transports that send Calls, and send them again where that changes nothing."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import httpx

from worker_client.contract import logs as output
from worker_client.contract.enums import LeaseEnd
from worker_client.contract.events import Event, Hint, ReadEvents
from worker_client.contract.tasks import Task
from worker_client.endpoints import Call
from worker_client.errors import LeaseLost, OrchestratorError
from worker_client.exchange import Exchange, Retries
from worker_client.feed import Feed, Reset
from worker_client.methods import AsyncMethods, SyncMethods

T = TypeVar("T")
DEFAULT_URL = "http://127.0.0.1:8080"
FOLLOW_SECONDS = 25.0
FAILURES = (httpx.TransportError, httpx.InvalidURL, OrchestratorError)


class _Settings:
    """Where to send, as whom, and how often to try."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        retries: Retries | None = None,
        timeout: float = 10.0,
        unique: Callable[[], str] = lambda: f"sdk-{secrets.token_hex(12)}",
    ) -> None:
        self.url = (url or os.environ.get("ORCHESTRATOR_URL") or DEFAULT_URL).rstrip("/")
        key = api_key or os.environ.get("ORCHESTRATOR_API_KEY")
        self._headers = {"accept": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        self._retries = retries or Retries()
        self._margin = timeout
        self._unique = unique

    def _start(self, call: Call[T], retries: Retries | None = None) -> Exchange[T]:
        return Exchange(call, self.url, unique=self._unique(), margin=self._margin, retries=retries or self._retries)


def _instead(call: Call[T], lost: LeaseLost) -> Call[T]:
    if call.applied is None or lost.reason != LeaseEnd.ALREADY_APPLIED:
        raise lost
    return call.applied


def _ends(within: float | None) -> float | None:
    return None if within is None else time.monotonic() + within


def _hold(ends: float | None) -> float:
    """How long the next question may be held."""
    return FOLLOW_SECONDS if ends is None else max(0.0, min(ends - time.monotonic(), FOLLOW_SECONDS))


def _goes_on(task_id: int, ends: float | None) -> None:
    """Raise TimeoutError if nobody is to wait any longer."""
    if ends is not None and time.monotonic() >= ends:
        raise TimeoutError(f"task {task_id} has not ended in time; it goes on")


class Client(SyncMethods, _Settings):
    """Talks to the server at `url` (ORCHESTRATOR_URL, else http://127.0.0.1:8080) with `api_key` (ORCHESTRATOR_API_KEY).

    Calls that change nothing when repeated are repeated on connection errors, 429 and 503, within `retries`. `timeout`:
    seconds to wait for an answer, on top of what a held call may take. Raises subclasses of OrchestratorError only.
    """

    def __init__(
        self, url: str | None = None, api_key: str | None = None, *, transport: httpx.BaseTransport | None = None, **options: Any
    ) -> None:
        super().__init__(url, api_key, **options)
        self._http = httpx.Client(base_url=self.url, headers=self._headers, transport=transport)

    def send(self, call: Call[T], retries: Retries | None = None) -> T:
        """Send a call and return its answer."""
        exchange = self._start(call, retries)
        while True:
            try:
                response = self._http.request(**exchange.request)
                return exchange.answer(response.status_code, response.headers, response.content)
            except LeaseLost as lost:
                return self.send(_instead(call, lost), retries)
            except FAILURES as error:
                pause = exchange.pause_after(error)
            time.sleep(pause)

    def wait(self, task_id: int, *, within: float | None = None) -> Task:
        """The task once it has ended, however; TimeoutError when that takes longer than `within` seconds."""
        ends = _ends(within)
        while not self.status(task_id, wait=_hold(ends)).status.final:
            _goes_on(task_id, ends)
        return self.get(task_id)

    def follow_logs(self, task_id: int, after: int = 0) -> Iterator[output.StoredLogLine]:
        """The lines of a task's output as they come, until the task is final."""
        while True:
            page = self.logs(task_id, after=after, wait=FOLLOW_SECONDS)
            yield from page.lines
            if page.final and not page.lines:
                return
            after = page.next_after

    @overload
    def events(self, *, live: Literal[False] = False, **filters: Any) -> Iterator[Event | Reset]: ...

    @overload
    def events(self, *, live: bool, **filters: Any) -> Iterator[Event | Reset | Hint]: ...

    def events(self, *, live: bool = False, **filters: Any) -> Iterator[Event | Reset | Hint]:
        """The feed, resumed after every interruption; fields of ReadEvents are keyword arguments.

        `live` brings hints, too: output and progress, which are not resumed.
        """
        feed = Feed(ReadEvents(live=live, **filters))
        while True:
            response = self._open(feed)
            try:
                for line in response.iter_lines():
                    yield from feed.line(line)
            except httpx.TransportError:
                pass
            finally:
                response.close()
            if feed.idle:
                time.sleep(feed.pause)

    def _open(self, feed: Feed) -> httpx.Response:
        exchange = self._start(feed.connect())
        while True:
            request = self._http.build_request(**exchange.request)
            request.headers.update(feed.headers)
            try:
                response = self._http.send(request, stream=True)
                if response.headers.get("content-type", "").startswith("text/event-stream"):
                    return response
                raise exchange.refusal(response.status_code, response.headers, response.read())
            except FAILURES as error:
                pause = exchange.pause_after(error)
            time.sleep(pause)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncClient(AsyncMethods, _Settings):
    """The same as Client, for asyncio."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        **options: Any,
    ) -> None:
        super().__init__(url, api_key, **options)
        # Held calls take a connection each, so that their number isn't httpx's to limit.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._http = httpx.AsyncClient(base_url=self.url, headers=self._headers, transport=transport, limits=limits)

    async def send(self, call: Call[T], retries: Retries | None = None) -> T:
        """Send a call and return its answer."""
        exchange = self._start(call, retries)
        while True:
            try:
                response = await self._http.request(**exchange.request)
                return exchange.answer(response.status_code, response.headers, response.content)
            except LeaseLost as lost:
                return await self.send(_instead(call, lost), retries)
            except FAILURES as error:
                pause = exchange.pause_after(error)
            await asyncio.sleep(pause)

    async def wait(self, task_id: int, *, within: float | None = None) -> Task:
        """The task once it has ended, however; TimeoutError when that takes longer than `within` seconds."""
        ends = _ends(within)
        while not (await self.status(task_id, wait=_hold(ends))).status.final:
            _goes_on(task_id, ends)
        return await self.get(task_id)

    async def follow_logs(self, task_id: int, after: int = 0) -> AsyncIterator[output.StoredLogLine]:
        """The lines of a task's output as they come, until the task is final."""
        while True:
            page = await self.logs(task_id, after=after, wait=FOLLOW_SECONDS)
            for line in page.lines:
                yield line
            if page.final and not page.lines:
                return
            after = page.next_after

    @overload
    def events(self, *, live: Literal[False] = False, **filters: Any) -> AsyncIterator[Event | Reset]: ...

    @overload
    def events(self, *, live: bool, **filters: Any) -> AsyncIterator[Event | Reset | Hint]: ...

    async def events(self, *, live: bool = False, **filters: Any) -> AsyncIterator[Event | Reset | Hint]:
        """The feed, resumed after every interruption; fields of ReadEvents are keyword arguments.

        `live` brings hints, too: output and progress, which are not resumed.
        """
        feed = Feed(ReadEvents(live=live, **filters))
        while True:
            response = await self._open(feed)
            try:
                async for line in response.aiter_lines():
                    for event in feed.line(line):
                        yield event
            except httpx.TransportError:
                pass
            finally:
                await response.aclose()
            if feed.idle:
                await asyncio.sleep(feed.pause)

    async def _open(self, feed: Feed) -> httpx.Response:
        exchange = self._start(feed.connect())
        while True:
            request = self._http.build_request(**exchange.request)
            request.headers.update(feed.headers)
            try:
                response = await self._http.send(request, stream=True)
                if response.headers.get("content-type", "").startswith("text/event-stream"):
                    return response
                raise exchange.refusal(response.status_code, response.headers, await response.aread())
            except FAILURES as error:
                pause = exchange.pause_after(error)
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
