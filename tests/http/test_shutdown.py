"""The process: one line when it answers, all polls answered when it is told to stop."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
SERVE = """
import os
from orchestrator.app import serve
from orchestrator.settings import load
from orchestrator.telemetry.logs import setup

settings = load(environ=os.environ)
setup(settings.log)
serve(settings)
"""


async def start(database: Path, port: int = 0) -> asyncio.subprocess.Process:
    environment = {
        **os.environ,
        "APP_SERVER_PORT": str(port),
        "APP_DATABASE_URL": f"sqlite:///{database}",
        "PYTHONPATH": str(ROOT),
    }
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, env=environment, stdout=pipe, stderr=pipe)


async def address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("Listening on http://127.0.0.1:"), (await process.communicate())[1].decode()
    return line.split()[-1]


async def parked(client: httpx.AsyncClient) -> int:
    lines = (await client.get("/metrics")).text.splitlines()
    return int(float(next(line for line in lines if line.startswith("parked_polls ")).split()[-1]))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_shutdown_is_not_held_up_by_parked_polls(tmp_path: Path, how: signal.Signals) -> None:
    """Elsewhere it hangs on them, or answers them 500: uvicorn#251."""
    process = await start(tmp_path / "tasks.db")
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=await address(process), timeout=60, limits=limits) as client:
        query: dict[str, str | int] = {"work_path": "/nothing/here", "wait": 50}
        polls = [
            asyncio.create_task(client.get("/api/v1/tasks/next", params={**query, "worker_id": f"w-{n}"})) for n in range(200)
        ]
        while await parked(client) < len(polls):
            pass
        process.send_signal(how)
        async with asyncio.timeout(2):
            answers = await asyncio.gather(*polls)
            assert await process.wait() == 0
    assert {answer.status_code for answer in answers} == {200}
    assert {str(answer.json()["data"]) for answer in answers} == {"None"}
    assert process.stdout is not None
    assert process.stderr is not None
    assert await process.stdout.read() == b""
    assert b"Traceback" not in await process.stderr.read()


async def test_an_address_that_is_taken(tmp_path: Path) -> None:
    first = await start(tmp_path / "one.db")
    port = int((await address(first)).rsplit(":", 1)[1])
    second = await start(tmp_path / "two.db", port)
    _, errors = await second.communicate()
    assert second.returncode
    assert f"cannot listen on 127.0.0.1 port {port}".encode() in errors
    first.terminate()
    await first.communicate()


async def test_a_file_that_is_served_already(tmp_path: Path) -> None:
    first = await start(tmp_path / "tasks.db")
    await address(first)
    second = await start(tmp_path / "tasks.db")
    _, errors = await second.communicate()
    assert second.returncode
    assert b"is served by another process" in errors
    first.terminate()
    await first.communicate()
