"""Who puts work in, and who changes it."""

import asyncio
import itertools
import time
from typing import Any

from tests.chaos.clients import HOSTS, PATHS, Client
from tests.chaos.history import Call


class Creator(Client):
    """Makes tasks of all kinds, alone and in batches, and repeats what was not answered."""

    _numbers = itertools.count()

    async def once(self) -> None:
        if not self.scene.creating or len(self.scene.unfinished) >= self.scene.most:
            await asyncio.sleep(0.1)
            return
        if self.chance.random() < 0.15:
            await self._batch(self.chance.randrange(2, 7))
            return
        body = self.body()
        if self.chance.random() < 0.9:
            body["key"] = f"{self.name}-{next(self._numbers)}"
            await self.insist("create", "POST", "/tasks", body, touches=tuple(body["depends_on"]))
        else:
            await self.call("create", "POST", "/tasks", body, touches=tuple(body["depends_on"]))

    async def _batch(self, size: int) -> None:
        title = f"batch {self.name}-{next(self._numbers)}/{size}"
        bodies = [{**self.body(), "title": title, "depends_on": []} for _ in range(size)]
        await self.call("batch", "POST", "/tasks/batch", {"tasks": bodies}, args={"title": title})

    def body(self) -> dict[str, Any]:
        """A task of some kind."""
        chance = self.chance
        kind = chance.choices(["agent", "http", "own"], [80, 8, 12])[0]
        parents = list(itertools.islice(reversed(self.scene.unfinished), 20)) if chance.random() < 0.2 else []
        return {
            "work_directory": chance.choice(PATHS),
            "prompt": "x",
            "kind": kind,
            **({"spec": {"url": "http://localhost/"}} if kind == "http" else {}),
            "host": chance.choices(HOSTS, [70, 15, 15])[0],
            "priority": chance.choice(["low", "normal", "normal", "high", "urgent"]),
            "tags": chance.choice([[], [], [], ["gpu"]]),
            "exclusive": chance.random() < 0.3,
            "max_attempts": chance.randrange(2, 6),
            "backoff": {"base_seconds": chance.choice([0, 0.1, 0.5]), "factor": 1.5, "cap_seconds": 2},
            "depends_on": sorted(set(chance.choices(parents, k=2))) if parents else [],
            **({"delay_seconds": round(chance.uniform(0.2, 3), 1)} if chance.random() < 0.1 else {}),
            **({"timeout_seconds": 5} if chance.random() < 0.05 else {}),
            **({"requires_approval": True} if chance.random() < 0.03 else {}),
        }


class Manager(Client):
    """Cancels, retries, hurries, changes, answers and approves."""

    async def once(self) -> None:
        if self.scene.questions:
            task_id, op = self.chance.choice(sorted(self.scene.questions.items()))
            if (await self._post(op, task_id, {"answer": "yes"} if op == "answer" else None)).status in {200, 409}:
                self.scene.questions.pop(task_id, None)
            return
        if not self.scene.creating:
            await asyncio.sleep(0.2)
            return
        match self.chance.choices(["cancel", "retry", "execute", "update"], self.scene.changes)[0]:
            case "retry":
                task_id, at = self.scene.ended.pop() if self.scene.ended else (0, 0.0)
                if time.monotonic() - at < self.scene.retried:
                    await self._post("retry", task_id)
            case "update":
                if task_id := self._some() or 0:
                    body = {"priority": self.chance.choice(["low", "high"])}
                    await self.call("update", "PUT", f"/tasks/{task_id}", body, touches=(task_id,))
            case op:
                if task_id := self._some() or 0:
                    await self._post(op, task_id)
        await asyncio.sleep(self.chance.expovariate(4))

    def _some(self) -> int | None:
        return self.chance.choice(list(self.scene.unfinished)) if self.scene.unfinished else None

    async def _post(self, op: str, task_id: int, body: dict[str, Any] | None = None) -> Call:
        return await self.call(op, "POST", f"/tasks/{task_id}/{op}", body, touches=(task_id,))
