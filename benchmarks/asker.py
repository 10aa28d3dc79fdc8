"""Somebody who creates, claims and completes tasks, one by one over some connections."""

from typing import Any

import msgspec

from benchmarks.traffic import Connection, Request, Result, drive

DIRECTORY = "/bench/repository"
TASK = msgspec.json.encode(
    {"work_directory": DIRECTORY, "prompt": "Make the tests pass.", "priority": "normal", "tags": ["bench"]}
)
STEPS = ("create", "claim", "complete")


class Asker:
    """`bearer`: the key or token that it shows."""

    def __init__(self, name: str, pool: list[Connection], bearer: str = "") -> None:
        self.name = name
        self._pool = pool
        self._bearer = bearer
        self._leases: list[tuple[int, str]] = []

    async def step(self, step: str, count: int) -> Result:
        """One of STEPS, so many times; claims take what was created, completions end what was claimed."""
        if step == "create":
            return await drive(self._pool, [self._request("POST", "tasks", TASK)] * count)
        if step == "claim":
            path = f"tasks/next?work_path={DIRECTORY}&wait=0&worker_id=bench-"
            asks = [self._request("GET", f"{path}{n % len(self._pool)}") for n in range(count)]
            return await drive(self._pool, asks, self._claimed)
        ends = [self._leases.pop() for _ in range(count)]
        bodies = [(task, msgspec.json.encode({"lease": lease, "result": {"ok": True}})) for task, lease in ends]
        return await drive(self._pool, [self._request("POST", f"tasks/{task}/complete", body) for task, body in bodies])

    def close(self) -> None:
        for connection in self._pool:
            connection.close()

    def _request(self, method: str, path: str, body: bytes = b"") -> Request:
        return Request.build(method, f"/api/v1/{path}", body, self._bearer)

    def _claimed(self, body: bytes) -> None:
        task: dict[str, Any] = msgspec.json.decode(body)["data"]
        self._leases.append((task["id"], task["lease"]))


class Echo:
    """Somebody who sends the same bodies to a bare server."""

    def __init__(self, pool: list[Connection]) -> None:
        self._pool = pool

    async def step(self, count: int) -> Result:
        return await drive(self._pool, [Request.build("POST", "/echo", TASK)] * count)

    def close(self) -> None:
        for connection in self._pool:
            connection.close()
