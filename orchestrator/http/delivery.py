"""Answers that must reach somebody: a claim whose asker hung up is given back, and holding ends with the client."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

from litestar.types import Receive, Scope, Send

from orchestrator.domain.outcomes import Grant
from orchestrator.domain.principal import Principal
from orchestrator.doors.doors import HOW
from orchestrator.doors.held import Held
from orchestrator.doors.keyring import Means
from orchestrator.http.body import ClientGoneError
from orchestrator.http.envelope import NO_STORE, Answer, Header, answer
from orchestrator.http.scope import Asked, caller
from orchestrator.queue.commit import Queue
from worker_client.errors import Unauthorized

T = TypeVar("T")

LINE: Final = "orchestrator.line"
"""The ASGI extension by which our server tells of its client."""


class Line(Protocol):
    """The way to a client."""

    def watch(self, waiting: "asyncio.Future[Any] | None") -> None:
        """Cancel what is waited for when the client hangs up."""

    def hung_up(self) -> bool:
        """Whether it has."""

    def write(self, scope: Scope, status: int, headers: Iterable[Header], body: bytes) -> bool:
        """Write the answer to a request in one piece; False when that is not possible now."""

    @property
    def full(self) -> bool:
        """Whether the client has to take of what was written before more is."""

    async def writable(self) -> None:
        """Wait until the client has taken enough of what was written before, or has gone."""

    def switch(self, scope: Scope, answer: bytes, hear: Callable[[bytes], None]) -> bool:
        """Speak something else than HTTP from here on, after this answer; False when that cannot be."""

    def say(self, data: bytes) -> None:
        """Write to a connection that was switched."""

    def finish(self) -> None:
        """End a connection that was switched."""


async def unless_gone(request: Asked, waiting: "asyncio.Future[T]") -> T:
    """The result of a future, which is cancelled when the client hangs up: then ClientGoneError.

    Raises Unauthorized when who asks may no longer be here.
    """
    to: Line | _Told = line(request.scope) or _Told(request.receive)
    to.watch(waiting)
    held: Held = request.app.state.doors.held
    held.begin(waiting, caller(request))
    try:
        return await waiting
    except asyncio.CancelledError:
        if to.hung_up():
            raise ClientGoneError from None
        if held.ended(waiting):
            if caller(request).means is Means.NOTHING:
                raise Unauthorized(f"this server has keys now, and this request brings none: {HOW}") from None
            raise Unauthorized("the key of this request is no longer good: it was changed or revoked, or has expired") from None
        raise
    finally:
        to.watch(None)
        held.over(waiting)


def line(scope: Scope) -> Line | None:
    """The way to the client of a request, where the server is ours."""
    found: Line | None = (scope.get("extensions") or {}).get(LINE)  # type: ignore[assignment]
    return found


class _Told:
    """Hears of a client by ASGI alone, from a server that is not ours."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None

    def watch(self, waiting: "asyncio.Future[Any] | None") -> None:
        if self._watch is not None:
            self._watch.cancel()
        if waiting is not None:
            self._watch = asyncio.create_task(self._disconnected(waiting))

    def hung_up(self) -> bool:
        return self._watch is not None and self._watch.done()

    async def _disconnected(self, waiting: "asyncio.Future[Any]") -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        waiting.cancel()


class Delivery(Answer):
    """Claimed tasks for a client that is still there; when it is not, they go back at once."""

    __slots__ = ("_by", "_grants", "_nothing", "_queue")

    def __init__(self, data: object, nothing: object, grants: list[Grant], queue: Queue, by: Principal) -> None:
        ready = answer(data, headers=NO_STORE)
        self.body, self.status_code, self.raw_headers = ready.body, ready.status_code, ready.raw_headers
        self._nothing = nothing
        self._grants = grants
        self._queue = queue
        self._by = by

    def ready(self, scope: Scope, receive: Receive) -> Answer:
        """Look once more whether the client is there."""
        if not _gone(scope, receive):
            return self
        for grant in self._grants:
            self._queue.undeliver(grant.task_id, grant.lease, grant.delivery_no, self._by)
        return answer(self._nothing, headers=NO_STORE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write it as soon as that is possible: whoever goes before gets nothing."""
        if (to := line(scope)) is not None:
            await to.writable()
        await super().__call__(scope, receive, send)


def _gone(scope: Scope, receive: Receive) -> bool:
    """Whether the client has hung up, as far as anybody knows by now."""
    if (to := line(scope)) is not None:
        return to.hung_up()
    while True:
        # One step of `receive` tells what has happened already; one that would have to wait is dropped.
        step: Any = receive()
        try:
            step.send(None)
        except StopIteration as told:
            if told.value["type"] == "http.disconnect":
                return True
        else:
            step.close()
            return False
