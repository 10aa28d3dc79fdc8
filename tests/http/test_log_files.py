"""The log of the server, and logs of tasks as files."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from orchestrator.http.slots import Slots
from orchestrator.settings import Auth
from orchestrator.telemetry import logs
from tests.acceptance.programs import serving as process
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio
ADMIN = bearer(BOOTSTRAP)


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(tmp_path_factory.mktemp("logs") / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as running:
        running.client.headers.update(ADMIN)
        yield running


@pytest.fixture
def lines() -> Iterator[None]:
    """What the process of the tests has logged before is forgotten."""
    logs.latest.clear()
    yield
    logs.latest.clear()


def logged(level: str, event: str, **facts: Any) -> None:
    line = {"timestamp": "2030-01-01T00:00:00.000001Z", "level": level, "event": event, **facts}
    logs.latest.add(logging.getLevelNamesMapping()[level.upper()], msgspec.json.encode(line).decode())


async def test_the_last_lines_come_newest_last(server: Running, lines: None) -> None:
    for number in range(5):
        logged("info", f"line {number}", n=number)
    page = await server.get("/system/logs", limit=2)
    assert [(line["event"], line["facts"]) for line in page["lines"]] == [("line 3", {"n": 3}), ("line 4", {"n": 4})]
    assert page["next_after"] == page["lines"][-1]["number"]
    assert page["host"]


async def test_who_follows_misses_none(server: Running, lines: None) -> None:
    page = await server.get("/system/logs")
    assert page["lines"] == []
    for number in range(7):
        logged("info", f"line {number}")
    seen = []
    for _ in range(5):
        page = await server.get("/system/logs", after=page["next_after"], limit=2)
        seen += [line["event"] for line in page["lines"]]
    assert seen == [f"line {number}" for number in range(7)]
    assert (await server.get("/system/logs", after=2**53))["lines"] == []


async def test_levels_and_words_are_sought(server: Running, lines: None) -> None:
    for level in ("debug", "info", "warning", "error", "critical"):
        logged(level, f"at {level}", path="/home/Mei/项目")
    for level, count in (("debug", 5), ("warning", 3), ("critical", 1)):
        assert len((await server.get("/system/logs", level=level))["lines"]) == count
    for words, count in (("AT E", 1), ("mei/项目", 5), ("nowhere", 0)):
        found = await server.get("/system/logs", q=words)
        assert len(found["lines"]) == count, words
    page = await server.get("/system/logs", level="error", after=0, q="nothing")
    assert page["next_after"] == (await server.get("/system/logs"))["next_after"], "all of it was looked at"


async def test_it_is_text_for_who_wants_text(server: Running, lines: None) -> None:
    logged("error", "it broke", task_id=7, words="two words", exception="Traceback\n  line 1\nValueError")
    answer = await server.client.get("/system/logs?format=text")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "content-disposition" not in answer.headers
    first, *rest = answer.text.splitlines()
    assert first == '2030-01-01T00:00:00.000001Z error    it broke task_id=7 words="two words"'
    assert rest == ["Traceback", "  line 1", "ValueError"]
    saved = await server.client.get("/system/logs?download=true")
    assert saved.text == answer.text
    assert saved.headers["content-disposition"].startswith('attachment; filename="orchestrator-2')


async def test_only_who_administers_all_reads_it(server: Running, lines: None) -> None:
    keys = Keys(server)
    for name, scopes, paths in (("reads", ["read"], None), ("administers a part", ["admin"], ["/p/**"])):
        key = await keys.make(name, *scopes, paths=paths)
        await server.refused("GET", "/system/logs", 403, headers=bearer(key))
    for query, field in (("level=loud", "level"), ("limit=0", "limit"), ("format=xml", "format"), ("nonsense=1", "nonsense")):
        error = await server.refused("GET", f"/system/logs?{query}", 400)
        assert error["details"]["field"] == field


async def _spoken(server: Running, *texts: str, path: str = "/a") -> int:
    await server.task(path)
    task = await server.claim(path)
    for start in range(0, len(texts), 1000):
        await server.post(f"/tasks/{task['id']}/logs", {"lease": task["lease"], "lines": list(texts[start : start + 1000])})
    number: int = task["id"]
    return number


async def test_all_that_a_task_said_is_one_file(server: Running) -> None:
    said = [f"line {number} 行" for number in range(4_321)]
    task = await _spoken(server, *said)
    answer = await server.client.get(f"/tasks/{task}/logs?format=text&download=true")
    assert answer.text.splitlines() == said
    assert answer.headers["content-disposition"] == f'attachment; filename="task-{task}.log"'
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert (await server.client.get(f"/tasks/{task}/logs?download=true&tail=2")).text.splitlines() == said[-2:]
    assert (await server.client.get(f"/tasks/{task}/logs?download=true&after=4320")).text.splitlines() == said[-1:]
    headed = await server.client.head(f"/tasks/{task}/logs?download=true")
    assert (headed.status_code, headed.content) == (200, b"")


async def test_a_task_that_says_nothing_is_an_empty_file(server: Running) -> None:
    task = await server.task("/b")
    answer = await server.client.get(f"/tasks/{task['id']}/logs?download=true")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_files_are_for_who_sees_the_task(server: Running) -> None:
    task = await _spoken(server, "secret", path="/mine")
    key = await Keys(server).make("elsewhere", "read", paths=["/other/**"])
    await server.refused("GET", f"/tasks/{task}/logs?download=true", 404, headers=bearer(key))
    await server.refused("GET", "/tasks/99999/logs?download=true", 404)


@pytest.mark.parametrize("form", ["logs?download=true", "logs/download"])
async def test_a_file_that_cannot_be_ended_is_cut(server: Running, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    task = await _spoken(server, *(f"line {number}" for number in range(2_500)))
    reads = type(server.queue.reads)
    original, asked = reads.logs, []

    async def gone(self: Any, *args: Any) -> Any:
        asked.append(args)
        return await original(self, *args) if len(asked) < 2 else None

    monkeypatch.setattr(reads, "logs", gone)
    with pytest.raises(httpx.RemoteProtocolError):
        await server.client.get(f"/tasks/{task}/{form}")
    assert len(asked) == 2


@pytest.mark.parametrize("form", ["logs?download=true", "logs/download"])
async def test_who_reads_a_file_has_one_of_the_places_of_its_key(
    server: Running, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    task = await _spoken(server, "line")
    held, original = [], Slots.taken

    def taken(self: Slots, what: Any, by: str, most: int) -> Any:
        held.append(what)
        return original(self, what, by, most)

    monkeypatch.setattr(Slots, "taken", taken)
    assert (await server.client.get(f"/tasks/{task}/{form}")).text == "line\n"
    assert held == ["streams"]


@pytest.mark.system
def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    """100 MB of output, to somebody who reads slowly at first."""
    with process(tmp_path) as server, httpx.Client(base_url=f"{server.url}/api/v1", timeout=60) as client:
        client.post("/tasks", json={"work_directory": "/a", "prompt": "p"}).raise_for_status()
        task = client.get("/tasks/next?work_path=/a&worker_id=w&wait=0").json()["data"]
        for _ in range(25):
            lines = {"lease": task["lease"], "lines": ["x" * 50_000] * 80}
            client.post(f"/tasks/{task['id']}/logs", json=lines).raise_for_status()
        memory = psutil.Process(server.process.pid)
        before, most, size = memory.memory_info().rss, 0, 0
        with client.stream("GET", f"/tasks/{task['id']}/logs?download=true") as answer:
            for piece in answer.iter_bytes(1_000_000):
                size += len(piece)
                most = max(most, memory.memory_info().rss)
        assert size == 25 * 80 * 50_001
        assert most - before < 60_000_000, f"{(most - before) / 1e6:.0f} MB more"
