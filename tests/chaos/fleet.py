"""Three servers on one database, to be killed, stopped and started, and clients that know what they were told."""

import asyncio
import contextlib
import itertools
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import httpx

from tests.acceptance.programs import started
from tests.postgres import free_port

LEASE_S: Final = 4
PATIENCE_S: Final = 2.5
"""After that a client asks another server."""


class Replica:
    """A server process on a port of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._url = url
        self._log = folder / f"server-{self.port}.log"
        self._stack = contextlib.ExitStack()
        self.process: subprocess.Popen[str] | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        line = ["serve", "--port", str(self.port), "--database", self._url]
        log = self._stack.enter_context(self._log.open("a"))
        self.process = self._stack.enter_context(started(*line, cwd=self._folder, stderr=log))
        assert self.process.stdout is not None
        said = await asyncio.to_thread(self.process.stdout.readline)
        assert str(self.port) in said, self._log.read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._stack.close()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        self._stack.close()


class Hold:
    """A lease as its holder knows it: it lives at least from `since` to `until`."""

    def __init__(self, task: dict[str, Any], asked: float) -> None:
        self.task_id: int = task["id"]
        self.path: str = task["work_directory"]
        self.exclusive: bool = task["exclusive"]
        self.lease: str = task["lease"]
        self.since = time.monotonic()
        self.until = asked + LEASE_S

    def excludes(self, other: "Hold") -> bool:
        short, long = sorted((self.path, other.path), key=len)
        return (self.exclusive or other.exclusive) and (long == short or long.startswith(short + "/"))


class Clients:
    """Create, claim and complete through whichever server answers."""

    def __init__(self, replicas: list[Replica], paths: list[str]) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
        addresses = [f"http://127.0.0.1:{one.port}/api/v1" for one in replicas]
        self._https = [httpx.AsyncClient(base_url=one, timeout=PATIENCE_S, limits=limits) for one in addresses]
        self._paths = paths
        self.created: dict[int, str] = {}
        self.completed: dict[int, str] = {}
        self.held: dict[int, Hold] = {}
        self.lost: dict[int, str] = {}
        """Leases that ran out, or were dropped, before the work was done."""
        self.refused_stale = 0
        self.answers: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.creating = True
        self.forgets = 0.01
        self.works = 0.1
        """How many of its leases a client lets run out, and works on for a moment."""
        self.claims = 0
        self.progress: list[float] = []
        self._moved = asyncio.Condition()

    async def close(self) -> None:
        for http in self._https:
            await http.aclose()

    async def send(self, chance: random.Random, method: str, path: str, **request: Any) -> httpx.Response:
        """Until it is answered, by any server."""
        at = chance.randrange(len(self._https))
        for number in itertools.count(at):
            try:
                answer = await self._https[number % len(self._https)].request(method, path, **request)
            except httpx.TransportError as error:
                self.errors[type(error).__name__] += 1
                await asyncio.sleep(0.02)
                continue
            self.answers[answer.status_code] += 1
            if answer.status_code != 503:
                return answer
            assert "retry-after" in answer.headers
            await asyncio.sleep(0.05)
        raise AssertionError

    async def create(self, name: str) -> None:
        chance = random.Random(name)
        mine: list[int] = []
        for number in itertools.count():
            if not self.creating:
                return
            body: dict[str, Any] = {
                "work_directory": chance.choice(self._paths), "prompt": name, "key": f"{name}-{number}", "max_attempts": 50,
                "exclusive": chance.random() < 0.3, "backoff": {"base_seconds": 0.1},
                "depends_on": sorted(set(chance.choices(mine[-6:], k=chance.choice((0, 1, 2))))) if mine else [],
            }  # fmt: skip
            answer = await self.send(chance, "POST", "/tasks", json=body)
            assert answer.status_code in {200, 201}, answer.text
            task_id = answer.json()["data"]["id"]
            assert task_id not in self.created, "two keys, one task"
            self.created[task_id] = body["key"]
            mine.append(task_id)
            async with self._moved:
                await self._moved.wait_for(lambda: not self.creating or len(self.created) - len(self.completed) < 400)

    async def work(self, worker: str) -> None:
        chance = random.Random(worker)
        while True:
            if not self.creating and len(self.completed) >= len(self.created):
                return
            query = {
                "work_path": "/load", "recursive": "true", "worker_id": worker, "wait": 0.3,
                "lease_seconds": LEASE_S,
            }  # fmt: skip
            asked = time.monotonic()
            answer = await self.send(chance, "GET", "/tasks/next", params=query)
            assert answer.status_code == 200, answer.text
            if (task := answer.json()["data"]) is not None:
                await self._hold(chance, worker, Hold(task, asked))

    async def _hold(self, chance: random.Random, worker: str, mine: Hold) -> None:
        self.claims += 1
        assert mine.task_id not in self.completed, f"{mine.task_id} was given after its completion was acknowledged"
        now = mine.since
        for other in self.held.values():
            if now < other.until and now < mine.until:
                assert other.task_id != mine.task_id, f"{mine.task_id} has two live leases"
                assert not mine.excludes(other), f"{mine.task_id} in {mine.path} overlaps {other.task_id} in {other.path}"
        if (stale := self.lost.pop(mine.task_id, None)) is not None and stale != mine.lease:
            refused = await self._complete(chance, mine.task_id, stale, "stale")
            assert refused.status_code == 409, refused.text
            self.refused_stale += 1
        self.held[mine.task_id] = mine
        if chance.random() < self.forgets:
            # It forgets what it does: the lease runs out.
            self.lost[mine.task_id] = mine.lease
            await asyncio.sleep(LEASE_S)
            self._let_go(mine)
            return
        if chance.random() < self.works:
            await asyncio.sleep(chance.random() * 0.05)
        # From here on it may be completed, whenever the answer comes.
        self._let_go(mine)
        done = await self._complete(chance, mine.task_id, mine.lease, worker)
        if done.status_code != 200:
            assert done.status_code == 409, done.text
            if done.json()["error"]["details"]["reason"] != "already_applied":
                assert time.monotonic() > mine.until, f"a live lease was lost: {done.text}"
                return
        assert mine.task_id not in self.completed, "completed twice"
        self.completed[mine.task_id] = mine.lease
        self.progress.append(time.monotonic())
        async with self._moved:
            self._moved.notify_all()

    def _let_go(self, mine: Hold) -> None:
        if self.held.get(mine.task_id) is mine:
            del self.held[mine.task_id]

    async def _complete(self, chance: random.Random, task_id: int, lease: str, result: str) -> httpx.Response:
        return await self.send(chance, "POST", f"/tasks/{task_id}/complete", json={"lease": lease, "result": result})

    async def follow(self, seen: list[int], begun: asyncio.Event) -> None:
        """Read the feed, going on where it broke off, at whichever server there is."""
        last: dict[str, str] = {}
        for number in itertools.count():
            http = self._https[number % len(self._https)]
            with contextlib.suppress(httpx.TransportError):
                async with http.stream("GET", "/events", headers=last) as answer:
                    told, data = "", False
                    async for line in answer.aiter_lines():
                        name, _, value = line.partition(": ")
                        assert (name, value) != ("event", "reset"), "the reader was told to begin again"
                        if name == "id":
                            told = value
                        elif name == "data":
                            data = True
                        elif not line and told:
                            last = {"Last-Event-ID": told}
                            begun.set()
                            if data:
                                seen.append(int(told.rpartition("-")[2]))
                            told, data = "", False
            await asyncio.sleep(0.02)
