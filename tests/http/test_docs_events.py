"""What docs/events.md shows is what happens."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.queue.board import MOST
from tests.acceptance.programs import environment
from tests.http.conftest import PATIENCE_S, Running, until
from tests.http.talking import talking
from tests.http.test_hints import logs, progress
from worker_client.contract.events import Event, Hint, ReadEvents
from worker_client.contract.sockets import ReadSocket, SocketEvent, Subscribe, SystemMetrics, TaskOutput

pytestmark = pytest.mark.anyio
PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
HERE = "/srv/shop"


def blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE)


async def lives(server: Running) -> None:
    """One task from its creation to its end."""
    await server.task(HERE)
    task = await server.claim(HERE)
    await progress(server, task, 50)
    await logs(server, task, "a line")
    hints = server.app.state.board.hints
    await until(lambda: not hints._wanted or len(hints._told) == 2)
    await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"]})


@pytest.mark.parametrize("number", range(3))
async def test_the_programs(server: Running, number: int) -> None:
    program = blocks("python")[number]
    variables = environment(ORCHESTRATOR_URL=server.address, PATH=os.environ["PATH"])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", program, env=variables, stdout=asyncio.subprocess.PIPE
    )
    await until(lambda: server.app.state.board)
    await lives(server)
    told, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0
    found = told.decode().splitlines()
    task = (await server.get("/tasks", work_path=HERE, limit=1))["items"][0]["id"]
    if number == 0:
        assert found == [f"task.{what} {task} {how}" for what, how in (
            ("created", "waiting"), ("claimed", "running"), ("completed", "completed"))]  # fmt: skip
    elif number == 1:
        assert [line.split()[0] for line in found] == ["task.progress", "task.output"]
        assert found[1] == f"task.output {task} {{'last_line': 1}}"
    else:
        assert [line for line in found if line != "mark None"] == [
            f"task_execution task.{what}" for what in ("created", "claimed", "completed")
        ]


async def test_the_line_for_the_shell_and_what_it_shows(server: Running) -> None:
    (line,) = blocks("sh")
    variables = environment(ORCHESTRATOR_URL=server.address, PATH=os.environ["PATH"])
    quiet: dict[str, Any] = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.DEVNULL}
    process = await asyncio.create_subprocess_exec("sh", "-c", f"exec {line}", env=variables, **quiet)
    await until(lambda: server.app.state.board)
    await server.task(HERE)
    assert process.stdout is not None
    got = (await asyncio.wait_for(process.stdout.readuntil(b"}\n"), PATIENCE_S)).decode()
    process.terminate()
    await process.communicate()
    (shown,) = re.findall(r"(?ms)^```sh\n.*?^```\n\n<!-- [^\n]+ -->\n```\n(.*?)^```$", PAGE)

    def bare(text: str) -> str:
        text = re.sub(r"[0-9a-f]{12}-\d+", "ID", text)
        return re.sub(r'"at":"[^"]+"|"task_id":\d+', "X", text)

    assert bare(got) == bare(shown)


async def test_the_message_and_all_that_is_named(server: Running) -> None:
    (message,) = blocks("json")
    assert msgspec.json.decode(message, type=Subscribe).subscribe.coalesce_ms == 500
    async with talking(server) as talk:
        await talk.say(json.loads(message))
        assert (await talk.next("mark", "error"))["event"] == "mark"
    named = set(re.findall(r"`(\w+)(?:=\w+)?`", PAGE))
    fields: set[Any] = {*ReadEvents.__struct_fields__, *ReadSocket.__struct_fields__, *SocketEvent}
    fields |= {*TaskOutput.__struct_fields__, *SystemMetrics.__struct_fields__} - {"work_directory"}
    assert {*map(str, fields)} <= named
    assert {"task.progress", "task.output"} <= set(re.findall(r"`(task\.\w+)`", PAGE))
    assert f"after {MOST} events that wait" in PAGE
    assert Event.__struct_fields__ == ("id", *Hint.__struct_fields__)
