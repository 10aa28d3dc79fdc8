"""The disk of a real server takes nothing for a while: nothing is acknowledged, all can be read, and it ends by itself."""

import asyncio
import contextlib
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.programs import Server, serving
from tests.chaos.failing import LEASE_S, asking, refused

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process"),
]
OUTAGE_S = LEASE_S + 3


@contextlib.contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """No file of the server may grow any more."""
    pid, (soft, hard) = server.process.pid, resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with asking(server) as client:
            for number in range(3):
                assert (await client.create(f"/jobs/{number}")).status_code == 201
            held = (await client.claim("/jobs/0")).json()["data"]
            poll = asyncio.create_task(client.claim("/parked", wait=30))
            with full_disk(server):
                writes = (*(client.create("/jobs/3") for _ in range(20)), client.beat(held), client.claim("/jobs/1"))
                for answer in await asyncio.gather(*writes):
                    refused(answer)
                ready = await client.ready()
                assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
                assert ready.json()["reason"] == "the last transaction failed: disk I/O error"
                assert (await client.http.get("/health/live")).status_code == 200
                assert (await client.http.get("/health")).status_code == 503
                listed = (await client.http.get("/api/v1/tasks")).json()["data"]["items"]
                assert {task["id"] for task in listed} == client.created
                # That who finds nothing writes nothing says nothing about the disk.
                assert (await client.claim("/nothing")).status_code == 200
                assert (await client.ready()).status_code == 503
                # The one thing that is tested here is that real time passes.
                for _ in range(OUTAGE_S * 4):
                    await client.claim("/nothing")
                    await asyncio.sleep(0.25)
            await client.until_ready()
            assert (await client.beat(held)).status_code == 200
            assert (await client.create("/parked")).status_code == 201
            assert (await poll).json()["data"]["id"] in client.created
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert {row[0] for row in database.execute("SELECT id FROM tasks")} == client.created
        assert database.execute("SELECT status, lease_no FROM tasks WHERE id = ?", [held["id"]]).fetchone() == ("running", 1)
