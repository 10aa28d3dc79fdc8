"""Who reads for long keeps the write-ahead log from being folded in: we never do, and a program that does is named."""

import asyncio
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from orchestrator.loops import checkpointer
from orchestrator.loops.checkpointer import Checkpointer
from orchestrator.store.sqlite.engine import ReaderPool, TooLongError, sqlite3
from orchestrator.store.sqlite.store import SQLiteStore
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n, tasks"


def pool(server: Running) -> ReaderPool:
    store: SQLiteStore = server.app.state.store
    assert store._pool is not None
    return store._pool


async def test_no_reading_of_ours_goes_on_for_long(server: Running, directory: str) -> None:
    await server.task(directory)
    for _ in range(4):
        # Each of the connections that read, and the log can be folded in behind it.
        with pytest.raises(TooLongError, match="work_path"):
            await pool(server).fetch(ENDLESS)
        await server.task(directory)
    folded = await server.app.state.store.fold()
    assert folded.pages == folded.done > 0
    assert (await server.get("/tasks", work_path=directory))["total"] == 5


async def test_a_list_that_takes_too_long_is_refused_in_words(
    server: Running, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await server.post(
            "/tasks/batch", {"tasks": [{"work_directory": directory, "prompt": "p", "tags": ["needle"]} for _ in range(1_000)]}
        )
    monkeypatch.setattr(pool(server), "_most_s", -1.0)
    answer = await server.client.get("/tasks", params={"tag": "nowhere"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["error"]["code"] == "OVERLOADED"
    assert "ask for less" in answer.json()["error"]["message"]
    # What is found soon is shown, though not how many more there are.
    found = await server.get("/tasks", tag="needle", limit=2)
    assert len(found["items"]) == 2
    assert (found["total"], found["total_exact"]) == (3, False)


async def test_a_program_that_reads_for_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer, "EVERY_S", 3600)
    monkeypatch.setattr(checkpointer, "PAGES", 50)
    async with serving(tmp_path / "tasks.db") as server, httpx.AsyncClient(base_url=server.address) as probes:
        now = [1_000]
        folding: Checkpointer = server.app.state.log_held_ms.__self__
        monkeypatch.setattr(folding, "_now", lambda: now[0])

        async def look(seconds: int) -> tuple[str | None, bool]:
            now[0] += 1_000 * seconds
            await folding.once()
            health = await probes.get("/health")
            assert health.status_code == 200
            assert health.json()["status"] == "healthy"
            assert (await probes.get("/health/ready")).status_code == 200
            held = f"\nwal_held_seconds {float(folding.held_ms() / 1000)}\n" in (await probes.get("/metrics")).text
            return health.json()["components"]["database"].get("message"), held and folding.held_ms() > 0

        await server.task("/a")
        with closing(sqlite3.connect(tmp_path / "tasks.db", isolation_level=None)) as foreign, capture_logs() as logs:
            foreign.execute("BEGIN")
            foreign.execute("SELECT count(*) FROM tasks").fetchall()
            for _ in range(40):
                await server.task("/a", description="x" * 9_000)
            assert await look(5) == (None, False)
            assert await look(5) == (None, False)
            await server.task("/a")
            message, held = await look(5)
            assert message is None
            message, held = await look(5)
            assert held
            assert message is not None
            assert "lsof" in message
            assert (await look(60))[1]
            assert [entry["log_level"] for entry in logs if "log" in entry["event"]] == ["warning"]
            foreign.execute("COMMIT")
            assert await look(5) == (None, False)
            assert [entry["log_level"] for entry in logs if "log" in entry["event"]] == ["warning", "info"]


async def test_those_who_read_one_after_the_other_are_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer, "PAGES", 1)
    async with serving(tmp_path / "tasks.db") as server:
        now = [1_000]
        folding = Checkpointer(server.app.state.store.fold, lambda: now[0])
        for _ in range(5):
            with closing(sqlite3.connect(tmp_path / "tasks.db", isolation_level=None)) as foreign:
                foreign.execute("BEGIN")
                foreign.execute("SELECT count(*) FROM tasks").fetchall()
                await asyncio.gather(*(server.task("/a") for _ in range(10)))
                now[0] += 60_000
                await folding.once()
                assert folding.held_ms() == 0
