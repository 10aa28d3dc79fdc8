"""What a task may use: kept as it was sent, and its time is the smaller one of two."""

from typing import Any

import pytest

from tests.http.conftest import Running
from worker_client.contract.limits import ResourceLimits

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("sent", "effective"),
    [
        ({}, 3600),
        ({"resource_limits": {"timeout": 60}}, 60),
        ({"resource_limits": {"timeout": 7200}}, 7200),
        ({"resource_limits": {"timeout": 60}, "timeout_seconds": 30}, 30),
        ({"resource_limits": {"timeout": 30}, "timeout_seconds": 60}, 30),
        ({"resource_limits": {"cpu": 1}, "timeout_seconds": 60}, 60),
    ],
)
async def test_the_smaller_time_holds(server: Running, sent: dict[str, Any], effective: float) -> None:
    task = await server.post("/tasks", {"work_directory": "/a", "prompt": "x", **sent})
    assert task["timeout_seconds"] == effective
    assert task["resource_limits"] == sent.get("resource_limits", {})


async def test_it_holds_after_a_change(server: Running) -> None:
    async def change(**fields: Any) -> tuple[Any, Any]:
        changed = (await server.client.put(f"/tasks/{task['id']}", json=fields)).json()["data"]
        return changed["timeout_seconds"], changed["resource_limits"]

    task = await server.post("/tasks", {"work_directory": "/a", "prompt": "x", "timeout_seconds": 600})
    assert await change(resource_limits={"timeout": 60, "cpu": "250m"}) == (60, {"timeout": 60, "cpu": "250m"})
    assert await change(timeout_seconds=900) == (60, {"timeout": 60, "cpu": "250m"})
    assert await change(timeout_seconds=900, resource_limits={}) == (900, {})
    assert await change(title="other") == (900, {})


@pytest.mark.parametrize(
    ("cpu", "cores"), [("500m", 0.5), ("10m", 0.01), ("2500m", 2.5), ("0.25", 0.25), ("3", 3), (2, 2), (0.5, 0.5), (None, None)]
)
def test_cores(cpu: Any, cores: float | None) -> None:
    assert ResourceLimits(cpu=cpu).cores == cores


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        *[("256Mi", 2**28), ("1.5Gi", 3 * 2**29), ("500M", 500_000_000), ("2000Ki", 2_048_000), ("2000k", 2_000_000)],
        *[("1Ti", 2**40), ("3000000", 3_000_000), (2**20, 2**20), (None, None)],
    ],
)
def test_bytes(memory: Any, size: int | None) -> None:
    assert ResourceLimits(memory=memory).memory_bytes == size
