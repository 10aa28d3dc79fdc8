"""The server's app within a command, without a socket and without a door: for a database that no server has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio.from_thread
import httpx

from orchestrator.app import compose
from orchestrator.cli.options import client_of
from orchestrator.domain.principal import LOCAL
from orchestrator.doors.keyring import Caller, Means
from orchestrator.http.scope import CALLER, PRINCIPAL
from orchestrator.telemetry import logs

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from litestar.types import Receive, Scope, Send

    from orchestrator.http.dispatch import Dispatch
    from orchestrator.settings import Settings
    from worker_client.client import Client

ORIGIN = "command line"
US = Caller(principal=LOCAL, means=Means.KEY)


@contextmanager
def inside(settings: "Settings") -> Iterator["Client"]:
    """A client of an app that lives as long as this context, and answers nobody else."""
    logs.setup(settings.log)
    app = compose(settings)
    app.asgi_handler = _Doorless(app.asgi_handler)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.lifespan()),
        client_of("http://localhost", None, transport=_Transport(portal, app)) as client,
    ):
        yield client


class _Doorless:
    """In place of the frame around the app: whoever can write to the database needs no key."""

    def __init__(self, frame: Any) -> None:
        self._dispatch: Dispatch = frame.dispatch

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        known: Any = {CALLER: US, PRINCIPAL: US.principal}
        scope.update(known)
        answer = await self._dispatch(scope, receive)
        await answer(scope, receive, send)


class _Transport(httpx.BaseTransport):
    def __init__(self, portal: "BlockingPortal", app: Any) -> None:
        self._portal = portal
        self._asgi = httpx.ASGITransport(app, client=(ORIGIN, 0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._portal.call(self._answered, request)

    async def _answered(self, request: httpx.Request) -> httpx.Response:
        answer = await self._asgi.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())
