"""A peer that hands out tasks as the server does: claims, heartbeats, logs and reports, scripted by the test."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.unit.worker_client.peer import NOW, Asked, Reply, task_json

ENDINGS = ("complete", "fail", "release", "park")


class Queue:
    """Its own side of the wire. `beats`, `logs` and `ends` are what it was told, by task id."""

    def __init__(self) -> None:
        self._waiting: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self.directives: dict[int, dict[str, Any]] = {}
        self.drains = False
        self.silent = False
        self.refuses: dict[int, Reply] = {}
        self.polls: list[dict[str, Any]] = []
        self.beats: dict[int, list[dict[str, Any]]] = {}
        self.logs: dict[int, dict[int, dict[str, Any]]] = {}
        self.ends: dict[int, list[tuple[str, dict[str, Any]]]] = {}
        self.answer_claim: Callable[[dict[str, Any]], Reply | None] | None = None
        self.answer_beat: Callable[[dict[str, Any]], Reply | None] = lambda _: None

    def add(self, task_id: int, directory: Path | str, **facts: Any) -> None:
        """Let a task be claimed."""
        with self._changed:
            claimed = {
                "status": "running",
                "attempt": 1,
                "lease_no": 1,
                "lease": f"{task_id}.1.ab",
                "delivery_no": 1,
                "started_at": NOW,
            }
            self._waiting.append(task_json(task_id, work_directory=str(directory), **{**claimed, **facts}))

    def wait(self, condition: Callable[[], object], seconds: float = 15.0) -> None:
        """Wait until something that was told makes this true."""
        with self._changed:
            assert self._changed.wait_for(condition, seconds), "it never happened"

    async def until(self, condition: Callable[[], object]) -> None:
        """The same without holding up the loop."""
        await asyncio.to_thread(self.wait, condition)

    def cancel(self, task_id: int) -> None:
        """Ask the worker to stop."""
        self.directives[task_id] = {"directive": "cancel"}

    def park(self, task_id: int, reason: str) -> None:
        """Say that a budget is used up."""
        self.directives[task_id] = {"directive": "park", "reason": reason}

    def text(self, task_id: int) -> str:
        """The stored output."""
        lines = self.logs.get(task_id, {})
        return "".join(f"{lines[number]['text']}\n" for number in sorted(lines))

    async def __call__(self, asked: Asked) -> Reply | None:
        with self._changed:
            reply = self._reply(asked)
            self._changed.notify_all()
        return await reply if isinstance(reply, Coroutine) else reply

    def _reply(self, asked: Asked) -> Reply | Coroutine[Any, Any, Reply | None] | None:
        if asked.path == "/api/v1/tasks/claim":
            self.polls.append(asked.body)
            return self._claim(asked.body)
        task_id, verb = int(asked.path.split("/")[4]), asked.path.split("/")[5]
        if task_id in self.refuses:
            return self.refuses[task_id]
        if self.silent:
            return None
        if verb == "heartbeat":
            refusal = self.answer_beat(asked.body)
            if refusal is None:
                self.beats.setdefault(task_id, []).append(asked.body)
            return refusal or self._beat(task_id, asked.body.get("wait", 0))
        if verb == "logs":
            lines = self.logs.setdefault(task_id, {})
            for number, line in enumerate(asked.body["lines"], asked.body["first_line"]):
                lines.setdefault(number, line)
            return Reply(201, {"stored": len(asked.body["lines"]), "next_line": max(lines, default=0) + 1})
        assert verb in ENDINGS
        self.ends.setdefault(task_id, []).append((verb, asked.body))
        return Reply(data=task_json(task_id, status="completed" if verb == "complete" else "waiting"))

    async def _claim(self, body: dict[str, Any]) -> Reply | None:
        if self.answer_claim is not None:
            return self.answer_claim(body)
        deadline = asyncio.get_running_loop().time() + body.get("wait", 30)
        while not self._waiting and not self.drains and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  it's added in a thread
            await asyncio.sleep(0.01)
        taken, self._waiting = self._waiting[: body.get("limit", 1)], self._waiting[body.get("limit", 1) :]
        return Reply(data={"tasks": taken, "drain": self.drains})

    async def _beat(self, task_id: int, wait: float) -> Reply:
        deadline = asyncio.get_running_loop().time() + wait
        while task_id not in self.directives and not self.drains and asyncio.get_running_loop().time() < deadline:
            if task_id in self.refuses:
                return self.refuses[task_id]
            await asyncio.sleep(0.01)
        told = {"directive": "continue", **self.directives.get(task_id, {}), "drain": self.drains}
        return Reply(data={**told, "lease_expires_at": NOW})
