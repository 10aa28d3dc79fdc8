"""Three servers on one PostgreSQL are restarted one after the other, behind a proxy and under load: nobody notices.

Clients here are bare: they know HTTP, repeat what is answered 503 with `Retry-After`, and take everything else that is not a
success for a failure, a broken connection included.
"""

import asyncio
import contextlib
import itertools
import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests import postgres
from tests.acceptance.programs import PATIENCE_SECONDS, command, end, environment
from tests.proxies import Proxy, proxied
from worker_client import AsyncClient

pytestmark = [pytest.mark.anyio, pytest.mark.system]
KEY: Final = "k" * 40
ROUNDS: Final = 3
DRAIN_S: Final = 3
LEFT_OUT_S: Final = {"nginx": 3, "caddy": 3}
"""For how long a proxy may leave out a server that was away; a rolling restart waits for that long, as every one should."""
PLACES: Final = [f"/rolling/{number}" for number in range(8)]


class Replica:
    """A server process that is always at the same address."""

    def __init__(self, folder: Path, url: str) -> None:
        self.port = postgres.free_port()
        self.log = folder / f"{self.port}.log"
        self._folder = folder
        self._variables = {
            "APP_DATABASE_URL": url,
            "APP_SERVER_PORT": str(self.port),
            "APP_SERVER_TRUSTED_PROXIES": "127.0.0.1",
            "APP_SERVER_DRAIN_SECONDS": str(DRAIN_S),
            "APP_AUTH_BOOTSTRAP_KEY": KEY,
            "APP_LIMITS_RATE": "1000000/s",
            "APP_LOG_LEVEL": "warning",
        }
        self.process: subprocess.Popen[str] | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command("serve"), cwd=self._folder, env=environment(**self._variables), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        assert str(self.port) in self.process.stdout.readline(), self.log.read_text()

    async def stop(self) -> None:
        assert self.process is not None
        assert await asyncio.to_thread(end, self.process, signal.SIGTERM) == 0, self.log.read_text()
        self.close()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


class Load:
    """Bare clients that work as agents and people do, and what became of each request."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.counted: Counter[str] = Counter()
        self.failures: list[str] = []
        self.created: set[int] = set()
        self.completed: Counter[int] = Counter()
        self.seen: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self.over = asyncio.Event()
        self.filled: set[str] = set()
        """Places where nothing more will be put."""

    def client(self) -> httpx.AsyncClient:
        """One with connections of its own."""
        headers = {"authorization": f"Bearer {KEY}"}
        return httpx.AsyncClient(base_url=f"{self._proxy.url}/api/v1", headers=headers, verify=self._proxy.trusts, timeout=75)

    async def ask(self, client: httpx.AsyncClient, method: str, path: str, **request: Any) -> Any:
        """`data` of an answer; asked again where the server says when. None where it failed."""
        while True:
            try:
                answer = await client.request(method, path, **request)
            except httpx.TransportError as error:
                self.failures.append(f"{method} {path}: {error!r}")
                return None
            self.counted["requests"] += 1
            if answer.status_code == 503 and "retry-after" in answer.headers:
                self.counted["told to come again"] += 1
                await asyncio.sleep(float(answer.headers["retry-after"]))
                continue
            if not answer.is_success:
                self.failures.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
                return None
            return answer.json()["data"]

    async def creates(self, client: httpx.AsyncClient, place: str) -> None:
        for number in itertools.count():
            last = self.over.is_set()
            made = await self.ask(client, "POST", "/tasks", json={"work_directory": place, "prompt": f"{number}"})
            if made is not None:
                self.created.add(made["id"])
                self.counted["created"] += 1
            if last:
                self.filled.add(place)
                return
            # Workers keep up, and wait for work most of the time.
            await asyncio.sleep(0.2)

    async def works(self, client: httpx.AsyncClient, place: str) -> None:
        """Until all is done that was put there, the task included that is put there last."""
        while True:
            filled = place in self.filled
            query = {"work_path": place, "worker_id": f"worker of {place}", "wait": 0 if filled else 50}
            task = await self.ask(client, "GET", "/tasks/next", params=query)
            self.counted["claims"] += 1
            if task is None:
                if filled:
                    return
                continue
            path, lease = f"/tasks/{task['id']}", {"lease": task["lease"]}
            await self.ask(client, "POST", f"{path}/heartbeat", json=lease | {"progress": {"percent": 50}})
            await self.ask(client, "POST", f"{path}/logs", json=lease | {"lines": [{"text": "half"}]})
            if await self.ask(client, "POST", f"{path}/complete", json=lease | {"result": {"done": True}}) is not None:
                self.completed[task["id"]] += 1

    async def reads(self, client: httpx.AsyncClient) -> None:
        for path in itertools.cycle(("/tasks", "/statistics", "/workers", "/directories")):
            if self.over.is_set():
                return
            await self.ask(client, "GET", path, params={"limit": 5} if path == "/tasks" else None)
            await asyncio.sleep(0.05)

    async def embeds(self, client: AsyncClient) -> None:
        """What a program does with the SDK."""
        while not self.over.is_set():
            task = await client.create(work_directory="/embedded", prompt="Wait for it")
            self.counted["by the SDK"] += 1
            await client.status(task.id, wait=0.5)
            claimed = await client.claim(work_path=["/embedded"], worker_id="embedded", wait=5)
            assert claimed is not None
            await client.complete(claimed.id, lease=claimed.lease)

    async def listens(self, client: httpx.AsyncClient, begun: asyncio.Event) -> None:
        """Reads the feed, and goes on where it was when it ends: nothing may be missed, and nothing told twice."""
        seen = self.seen[id(client)]
        headers: dict[str, str] = {}
        while True:
            try:
                query: dict[str, Any] = {"type": "task.completed", "work_path": "/rolling"}
                async with client.stream("GET", "/events", params=query, headers=headers) as stream:
                    self.counted["streams"] += 1
                    if stream.status_code != 200:
                        self.failures.append(f"GET /events: {stream.status_code}")
                    async for line in stream.aiter_lines():
                        name, _, value = line.partition(": ")
                        if name == "id":
                            headers["last-event-id"] = value
                            begun.set()
                        elif name == "data":
                            seen[json.loads(value)["task_id"]] += 1
                        elif name == "event":
                            self.failures.append(f"events were missed: {value}")
            except httpx.TransportError as error:
                self.failures.append(f"GET /events: {error!r}")
            await asyncio.sleep(0.1)


async def restarted(replicas: list[Replica], pause: float) -> None:
    """Each of them, one after the other, with a pause between."""
    for replica in replicas:
        await replica.stop()
        await replica.start()
        await asyncio.sleep(pause)


@asynccontextmanager
async def replicated(folder: Path) -> AsyncIterator[list[Replica]]:
    """Three servers on a database of their own."""
    # Not below pytest's folder, where the user that PostgreSQL runs as may not look.
    with tempfile.TemporaryDirectory(prefix="orchestrator-rolling-") as place:
        database = postgres.Postgres(Path(place))
        replicas = [Replica(folder, database.url()) for _ in range(3)]
        try:
            for replica in replicas:
                await replica.start()
            yield replicas
        finally:
            for replica in replicas:
                replica.close()
                # Why a request failed only the server knows that answered it.
                sys.stdout.write(replica.log.read_text())
            database.stop(signal.SIGQUIT)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["nginx", "caddy"])
async def test_nobody_notices(
    kind: str, tmp_path_factory: pytest.TempPathFactory, record_testsuite_property: Callable[[str, object], None]
) -> None:
    async with replicated(tmp_path_factory.mktemp("replicas")) as replicas:
        with proxied(kind, tmp_path_factory.mktemp(kind), *(f"127.0.0.1:{one.port}" for one in replicas)) as proxy:
            load = Load(proxy)
            async with contextlib.AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(load.client()) for _ in range(2 * len(PLACES) + 4)]
                sdk = AsyncClient(proxy.url, KEY, transport=httpx.AsyncHTTPTransport(verify=proxy.trusts))
                begun = [asyncio.Event(), asyncio.Event()]
                listening = [asyncio.create_task(load.listens(clients.pop(), one)) for one in begun]
                for one in begun:
                    await one.wait()
                async with asyncio.TaskGroup() as group:
                    for place in PLACES:
                        group.create_task(load.creates(clients.pop(), place))
                        group.create_task(load.works(clients.pop(), place))
                    for _ in range(2):
                        group.create_task(load.reads(clients.pop()))
                    group.create_task(load.embeds(await stack.enter_async_context(sdk)))
                    for _ in range(ROUNDS):
                        await restarted(replicas, LEFT_OUT_S[kind])
                    load.over.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        while any(load.created - seen.keys() for seen in load.seen.values()):  # noqa: ASYNC110 - told from afar
                            await asyncio.sleep(0.1)
                for listener in listening:
                    listener.cancel()
    figures = f"{kind}: {dict(load.counted)}, {ROUNDS * len(replicas)} restarts, {len(load.failures)} failures"
    record_testsuite_property(f"rolling restart behind {kind}", figures)
    assert load.failures == [], figures
    assert load.counted["requests"] > 1000
    assert load.completed == dict.fromkeys(load.created, 1)
    assert [seen for seen in load.seen.values() if seen != load.completed] == []
