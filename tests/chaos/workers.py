"""Workers: good ones, forgetful ones, late ones, and some that are killed."""

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.clients import HOSTS, PATHS, PATIENCE_S, ROOT, Client, Scene, query
from tests.chaos.history import Call


class Quitter(Client):
    """Asks, hangs up, and then puts in what it asked for: nobody who has gone is to be given that."""

    async def once(self) -> None:
        path = f"{ROOT}/quit/{self.chance.randrange(3)}"
        asks = {"work_path": [path], "worker_id": self.name, "wait": 10, "lease_seconds": 2}
        await self.call("claim", "GET", query("/tasks/next", **asks), args=asks, patience=0.3)
        await asyncio.sleep(1.2)
        if self.scene.creating:
            await self.call("create", "POST", "/tasks", {"work_directory": path, "prompt": "x"})


class Worker(Client):
    """`number` says what it asks for: every third asks for everything on its host."""

    def __init__(self, scene: Scene, number: int, name: str) -> None:
        super().__init__(scene, name)
        self._host = HOSTS[number % len(HOSTS)]
        self._takes_all = number < 2 * len(HOSTS)
        self._polls = itertools.count()

    async def once(self) -> None:
        if self.scene.stale and self.chance.random() < 0.1:
            await self._meddle()
        asked, call = await self._claim()
        for task in call.data if call.outcome == "ok" else ():
            await self._work(task, asked)

    async def _claim(self) -> tuple[dict[str, Any], Call]:
        chance = self.chance
        asks: dict[str, Any] = {
            "work_path": [ROOT] if self._takes_all else [chance.choice(PATHS)],
            "recursive": self._takes_all or chance.random() < 0.5,
            "worker_id": self.name, "wait": chance.choice([0, 0, 0.3, 1.5]), "lease_seconds": chance.choice([2, 3, 4, 6]),
            "host": self._host, "exclusive": chance.random() < 0.1,
        }  # fmt: skip
        if not self._takes_all and chance.random() < 0.2:
            asks["kinds"] = [chance.choice(["agent", "own"])]
        if chance.random() < 0.1:
            asks["confirm_seconds"] = chance.choice([1, 2])
        if repeats := chance.random() < 0.5:
            asks["poll_id"] = str(next(self._polls))
        many = chance.random() < 0.15
        path = "/tasks/claim" if many else query("/tasks/next", **asks)
        body = {**asks, "limit": chance.randrange(1, 6)} if many else None
        patience = chance.uniform(0, asks["wait"]) if chance.random() < 0.1 else asks["wait"] + PATIENCE_S
        call = await self.call("claim", "POST" if many else "GET", path, body, args=asks, patience=patience)
        while repeats and call.outcome in {"unknown", "unsent"} and not self.scene.over and chance.random() < 0.8:
            await asyncio.sleep(0.05)
            call = await self.call("claim", "POST" if many else "GET", path, body, args=asks, patience=asks["wait"] + PATIENCE_S)
        return asks, call

    async def _work(self, task: dict[str, Any], asked: dict[str, Any]) -> None:
        chance, lasts = self.chance, asked["lease_seconds"]
        fates = ["complete", "fail", "release", "park", "forget", "late", "drop"]
        fate = chance.choices(fates, [64, 10, 6, 6, 5, 5, 4] if self.scene.creating else [90, 2, 1, 1, 2, 2, 2])[0]
        if fate == "drop":
            self.wire.close()
        if fate in {"drop", "forget"}:
            self.scene.stale.append((task["id"], task["lease"]))
            return
        if fate == "late":
            self.scene.stale.append((task["id"], task["lease"]))
            await asyncio.sleep(lasts * chance.uniform(0.8, 1.6))
            fate = "complete"
        hasty = chance.random() < 0.4
        until = time.monotonic() + min(chance.expovariate(5), lasts / 2)
        while not hasty and (chance.random() < 0.3 or time.monotonic() < until):
            await asyncio.sleep(max(0.01, min(until - time.monotonic(), lasts / 4)))
            beat = await self._write("heartbeat", task["id"], {"lease": task["lease"], "progress": {"percent": 50}})
            if beat.outcome == "refused" and beat.status == 409:
                return
            if beat.outcome == "ok" and beat.data["directive"] == "cancel":
                fate = chance.choice(["complete", "fail", "release", "park"])
        await self._end(fate, task)

    async def _end(self, fate: str, task: dict[str, Any]) -> None:
        body: dict[str, Any] = {"lease": task["lease"]}
        match fate:
            case "complete":
                body |= {"result": self.name}
            case "fail":
                body |= {"error": {"type": "E", "message": "m"}, "retryable": self.chance.random() < 0.7}
            case "park" if self.chance.random() < 0.3:
                body |= {"reason": "question", "question": "which?"}
            case "park":
                server_time = datetime.fromisoformat(task["updated_at"]) + timedelta(seconds=self.chance.uniform(0.5, 2))
                body |= {"reason": "quota", "not_before": server_time.astimezone(UTC).isoformat()}
        await self._write(fate, task["id"], body, times=8)
        self.scene.stale.append((task["id"], task["lease"]))

    async def _write(self, op: str, task_id: int, body: dict[str, Any], times: int = 3) -> Call:
        return await self.insist(op, "POST", f"/tasks/{task_id}/{op}", body, touches=(task_id,), times=times)

    async def _meddle(self) -> None:
        """Write with a lease that has ended, or will soon."""
        task_id, lease = self.chance.choice(self.scene.stale)
        op = self.chance.choice(["complete", "fail", "release", "heartbeat"])
        body: dict[str, Any] = {"lease": lease} | ({"error": {"type": "stale", "message": ""}} if op == "fail" else {})
        await self.call(op, "POST", f"/tasks/{task_id}/{op}", body, touches=(task_id,))
