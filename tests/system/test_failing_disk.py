"""System calls of the real server fail: nothing is acknowledged, and what was refused stays undone."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.programs import Server, serving
from tests.chaos.failing import asking, refused

pytestmark = [pytest.mark.system, pytest.mark.anyio]

FAULTS = [("fsync,fdatasync", "EIO", "disk I/O error"), ("pwrite64", "ENOSPC", "database or disk is full")]


@contextlib.contextmanager
def failing(server: Server, calls: str, error: str) -> Iterator[None]:
    """These system calls of the server end with an error."""
    line = ["strace", "-f", "-p", str(server.process.pid), "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"]
    with subprocess.Popen([*line, "-o", "/dev/null"], stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        assert "attached" in said, said
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)


@pytest.mark.parametrize(("calls", "error", "words"), FAULTS)
async def test_calls_fail_for_a_while(tmp_path: Path, calls: str, error: str, words: str) -> None:
    with serving(tmp_path) as server:
        async with asking(server) as client:
            assert (await client.create("/work")).status_code == 201
            held = (await client.claim("/work", lease_seconds=600)).json()["data"]
            with failing(server, calls, error):
                for answer in await asyncio.gather(*(client.create("/work") for _ in range(20)), client.beat(held)):
                    refused(answer)
                assert (await client.ready()).json()["reason"] == f"the last transaction failed: {words}"
                listed = (await client.http.get("/api/v1/tasks")).json()["data"]["items"]
                assert {task["id"] for task in listed} == client.created
            await client.until_ready()
            assert (await client.beat(held)).status_code == 200
            assert (await client.create("/work")).status_code == 201
            with failing(server, calls, error):
                refused(await client.create("/work"))
                server.process.kill()
                server.process.wait()
    with serving(tmp_path) as server:
        async with asking(server) as client:
            assert (await client.beat(held)).status_code == 200
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT max(lease_no), count(*) FROM tasks").fetchone() == (1, 2)
