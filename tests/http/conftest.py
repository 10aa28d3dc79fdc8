"""The real server on a free port, in the event loop of the tests: a test can wait for what happens inside."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar

from orchestrator.app import compose
from orchestrator.http.certificate import certified
from orchestrator.http.server import Server, bound, configured
from orchestrator.queue.commit import Queue
from orchestrator.settings import Database, Limits, Settings, Task
from orchestrator.settings import Server as Listening

PATIENCE_S = 20


class Running:
    """A server that answers; `client` talks to it over TCP."""

    def __init__(self, app: Litestar, server: Server, address: str, client: httpx.AsyncClient) -> None:
        self.app = app
        self.server = server
        self.address = address
        self.client = client

    @property
    def queue(self) -> Queue:
        queue: Queue = self.app.state.queue
        return queue

    async def get(self, path: str, **query: Any) -> Any:
        """`data` of a GET."""
        return self._data(await self.client.get(path, params=query))

    async def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """`data` of a POST."""
        return self._data(await self.client.post(path, json=body, params=query))

    async def refused(self, method: str, path: str, status: int, **request: Any) -> dict[str, Any]:
        """`error` of a request that fails with a status."""
        answer = await self.client.request(method, path, **request)
        envelope = answer.json()
        assert answer.status_code == status, envelope
        assert envelope["success"] is False
        assert envelope["data"] is None
        error: dict[str, Any] = envelope["error"]
        return error

    async def task(self, directory: str, **more: Any) -> Any:
        """A new task."""
        return await self.post("/tasks", {"work_directory": directory, "prompt": "Do it", **more})

    async def claim(self, directory: str, **more: Any) -> Any:
        """The next task of a directory, or None."""
        return await self.get("/tasks/next", **{"work_path": directory, "worker_id": "tester", "wait": 0, **more})

    @staticmethod
    def _data(answer: httpx.Response) -> Any:
        envelope = answer.json()
        assert answer.is_success, envelope
        assert envelope["success"] is True
        assert envelope["error"] is None
        return envelope["data"]


async def until(holds: Callable[[], object]) -> None:
    """Let the server go on until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - the server runs in this loop: let it, and look again
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(path: Path, *, verify: ssl.SSLContext | bool = True, **sections: Any) -> AsyncIterator[Running]:
    """A server on a database file, with its defaults except for what a test says."""
    settings = Settings(**{"server": Listening(port=0), "database": Database(url=f"sqlite:///{path}"), **sections})
    app = compose(settings)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with bound("127.0.0.1", 0) as listening:
        async with app.lifespan():
            config = configured(app, settings.server)
            server = Server(config, drain=app.state.queue.drain, ready=ready.set_result, tls=certified(settings.server))
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            address = await ready
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
            try:
                async with httpx.AsyncClient(base_url=f"{address}/api/v1", timeout=60, limits=limits, verify=verify) as client:
                    yield Running(app, server, address, client)
            finally:
                # Also behind a test that fails: else the loop waits for the server without end.
                server.stop()
                await serving


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """One loop for a module's server and its tests, of the kind that serves."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    path = tmp_path_factory.mktemp("served") / "tasks.db"
    async with serving(path, task=Task(), limits=Limits(max_body_bytes=4 * 1024 * 1024)) as running:
        yield running


@pytest.fixture
def directory(request: pytest.FixtureRequest) -> str:
    """A work directory that no other test uses."""
    return f"/work-of/{request.node.name}".replace("[", "/").replace("]", "")
