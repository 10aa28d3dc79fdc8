"""Mixed traffic: people who add and look, workers that claim and report, polls that find nothing."""

import random
from itertools import count
from typing import Any

from locust import FastHttpUser, between, constant, task

DIRECTORIES = [f"/load/{n}" for n in range(20)]
ENDS: list[tuple[str, dict[str, Any]]] = [
    ("complete", {"result": {"ok": True}}),
    ("fail", {"error": {"type": "load", "message": "on purpose"}, "retryable": False}),
    ("release", {"reason": "load"}),
]
numbers = count()


class Person(FastHttpUser):
    """Adds tasks, one by one and many at once, and looks at them."""

    weight = 2
    wait_time = between(0.01, 0.1)

    @task(5)
    def add(self) -> None:
        self.client.post("/api/v1/tasks", json=a_task())

    @task(1)
    def add_many(self) -> None:
        self.client.post("/api/v1/tasks/batch", json={"tasks": [a_task() for _ in range(20)]})

    @task(1)
    def add_twice(self) -> None:
        body = a_task() | {"key": f"key-{next(numbers)}-{random.getrandbits(64)}"}
        for _ in range(2):
            self.client.post("/api/v1/tasks", json=body)

    @task(1)
    def cancel(self) -> None:
        made = data(self.client.post("/api/v1/tasks", json=a_task() | {"delay_seconds": 3600}))
        if made is None:
            return
        self.client.post(f"/api/v1/tasks/{made['id']}/cancel", json={"reason": "load"}, name="/api/v1/tasks/{id}/cancel")

    @task(2)
    def look(self) -> None:
        self.client.get("/api/v1/tasks?limit=20&status=waiting", name="/api/v1/tasks")
        self.client.get("/api/v1/statistics")
        self.client.get("/metrics")


class Worker(FastHttpUser):
    """Claims, says that it is alive, and reports one way or another."""

    weight = 3
    wait_time = constant(0)

    def on_start(self) -> None:
        self.worker_id = f"load-{next(numbers)}-{random.getrandbits(32)}"

    @task
    def work(self) -> None:
        query = {"work_path": random.choice(DIRECTORIES), "worker_id": self.worker_id, "wait": 2, "lease_seconds": 60}
        claimed = data(self.client.get("/api/v1/tasks/next", params=query, name="/api/v1/tasks/next"))
        if claimed is None:
            return
        lease = {"lease": claimed["lease"]}
        self.report(claimed, "heartbeat", lease | {"progress": {"percent": 50, "message": "half"}})
        verb, body = random.choices(ENDS, [8, 1, 1])[0]
        self.report(claimed, verb, lease | body)

    def report(self, claimed: dict[str, Any], verb: str, body: dict[str, Any]) -> None:
        self.client.post(f"/api/v1/tasks/{claimed['id']}/{verb}", json=body, name=f"/api/v1/tasks/{{id}}/{verb}")


class Poller(FastHttpUser):
    """Waits in a directory where nothing happens."""

    weight = 1
    wait_time = constant(0)

    @task
    def wait(self) -> None:
        query = {"work_path": "/load/nothing", "worker_id": "load-poller", "wait": 5}
        self.client.get("/api/v1/tasks/next", params=query, name="/api/v1/tasks/next (parked)")


def data(answer: Any) -> dict[str, Any] | None:
    """What was answered; nothing after an error, which Locust has counted."""
    return answer.json()["data"] if answer.ok else None


def a_task() -> dict[str, Any]:
    return {
        "work_directory": random.choice(DIRECTORIES),
        "prompt": "Make the tests pass.",
        "priority": random.choice(["low", "normal", "high", "urgent"]),
    }
