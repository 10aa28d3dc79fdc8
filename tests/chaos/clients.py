"""What all clients have in common: a name, a connection that breaks, and a history that hears everything."""

import asyncio
import random
from collections import deque
from typing import Any, Final
from urllib.parse import urlencode

from tests.chaos.history import Call, History, Told
from tests.chaos.wire import Address, UnknownError, UnsentError, Wire, request
from worker_client.contract.enums import FINAL

PATIENCE_S: Final = 6.0
HOSTS: Final = ("", "h1", "h2")
ROOT: Final = "/w"
PATHS: Final = (
    *(f"{ROOT}/{a}" for a in "abcd"),
    *(f"{ROOT}/{a}/{b}" for a in "abcd" for b in "xy"),
    f"{ROOT}/a/x/deep",
    f"{ROOT}/b/y/deep",
)


class Scene:
    """What the clients of a run share. `most`: tasks that may be unfinished; `pace`: seconds that a client thinks on average."""

    def __init__(self, history: History, addresses: list[Address], seed: int, *, most: int, pace: float) -> None:
        self.history = history
        self.addresses = addresses
        self.chance = random.Random(seed)
        self.most = most
        self.pace = pace
        self.changes = [4, 3, 2, 2]
        """How often managers cancel, retry, execute and update."""
        self.retried = 4.0
        """For so long after its end a task may be retried: s."""
        self.creating = True
        self.over = False
        self.unfinished: dict[int, str] = {}
        """Status by id, as the feed tells."""
        self.ended: deque[tuple[int, float]] = deque(maxlen=50)
        """Tasks that ended badly, and when."""
        self.questions: dict[int, str] = {}
        """Tasks that wait for a person, and for what."""
        self.stale: deque[tuple[int, str]] = deque(maxlen=200)
        """Leases that have ended, or will soon."""

    def hear(self, event: Told) -> None:
        """What the feed tells, for those that act on it."""
        if event.status in FINAL:
            self.unfinished.pop(event.task_id, None)
            if event.type != "task.completed":
                self.ended.append((event.task_id, event.at))
        elif event.status is not None:
            self.unfinished[event.task_id] = event.status
        reason = event.data.get("reason")
        if event.status == "parked" and reason != "quota":
            self.questions[event.task_id] = "answer" if reason == "question" else "approve"
        else:
            self.questions.pop(event.task_id, None)


class Client:
    """Somebody who asks, with chances of their own."""

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene = scene
        self.name = name
        self.chance = random.Random(f"{scene.chance.random()}{name}")
        self.wire = Wire()
        self._address: Address | None = None

    async def think(self) -> None:
        await asyncio.sleep(self.chance.expovariate(1 / self.scene.pace))

    async def call(
        self,
        op: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        touches: tuple[int, ...] = (),
        patience: float = PATIENCE_S,
        args: dict[str, Any] | None = None,
    ) -> Call:
        """Ask once, and have it recorded; `data` of the call is the answer's, or its error's."""
        if self._address is None or not self.wire.open or self.chance.random() < 0.02:
            self.wire.close()
            self._address = self.chance.choice(self.scene.addresses)
        history, lease = self.scene.history, (body or {}).get("lease")
        call = history.sent(op, self.name, args=args or body or {}, touches=touches, lease=lease)
        try:
            status, answer = await self.wire.ask(self._address, request(method, path, body), patience)
        except UnsentError:
            self._address = None
            return history.ended(call, "unsent")
        except UnknownError:
            self._address = None
            return history.ended(call, "unknown")
        except asyncio.CancelledError:
            history.ended(call, "unknown")
            raise
        if status < 300:
            return history.ended(call, "ok", status, _shown(op, (answer or {}).get("data")))
        data = (answer or {}).get("error")
        return history.ended(call, "unknown" if status >= 500 and status != 503 else "refused", status, data)

    async def insist(self, *args: Any, times: int = 1_000_000, **facts: Any) -> Call:
        """Ask until it is answered."""
        while True:
            call = await self.call(*args, **facts)
            times -= 1
            if (call.outcome in {"ok", "refused"} and call.status != 503) or not times or self.scene.over:
                return call
            await asyncio.sleep(0.05 + self.chance.random() * 0.2)

    async def run(self) -> None:
        """Until the scene is over."""
        try:
            while not self.scene.over:
                await self.once()
                await self.think()
        finally:
            self.wire.close()

    async def once(self) -> None:
        """One thing that it does."""


def _shown(op: str, data: Any) -> Any:
    """What the history keeps of an answer: of claims and creations a list of tasks."""
    if op in {"claim", "create", "batch"}:
        tasks = [] if data is None else data.get("tasks", [data])
        return [{name: task[name] for name in _KEPT if name in task} for task in tasks]
    return {name: data[name] for name in ("status", "directive", "version", "lease_no") if name in (data or {})}


_KEPT: Final = (
    "id", "work_directory", "host", "kind", "tags", "priority", "exclusive", "key", "created_at", "run_at", "updated_at",
    "attempt", "lease", "lease_no", "timeout_seconds", "status", "depends_on",
)  # fmt: skip


def query(path: str, **parts: Any) -> str:
    """A path with a query; lists repeat."""
    told = {name: str(value).lower() if isinstance(value, bool) else value for name, value in parts.items()}
    return f"{path}?{urlencode(told, doseq=True)}"
