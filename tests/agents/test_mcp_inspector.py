"""The MCP inspector's command line lists and calls the tools, over HTTP and over standard input and output."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.programs import ROOT, Server, command, serving
from tests.agents.homes import Home

pytestmark = pytest.mark.agents

PATIENCE_S: Final = 120


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as running:
        yield running


class Inspector:
    """Asks a server once per call, as people do from a shell."""

    def __init__(self, program: Path, home: Home, target: list[str]) -> None:
        self._line = [str(program), "--cli", *target]
        self._home = home

    def __call__(self, method: str, *arguments: str) -> Any:
        ran = subprocess.run(
            [*self._line, "--method", method, *arguments],
            env=self._home.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    def tool(self, name: str, **arguments: object) -> Any:
        pairs = [part for field, value in arguments.items() for part in ("--tool-arg", f"{field}={value}")]
        answer = self("tools/call", "--tool-name", name, *pairs)
        assert answer.get("isError") is not True, answer
        return answer["structuredContent"]


@pytest.fixture(params=["http", "stdio"])
def inspector(request: pytest.FixtureRequest, server: Server, home: Home, programs: Path) -> Inspector:
    target = [f"{server.url}/mcp", "--transport", "http"]
    if request.param == "stdio":
        home.environment |= {"PYTHONPATH": str(ROOT)}
        target = ["-e", f"ORCHESTRATOR_URL={server.url}", "-e", f"PYTHONPATH={ROOT}", *command("mcp")]
    return Inspector(programs / "mcp-inspector", home, target)


def test_it_lists_and_calls_the_tools(inspector: Inspector, server: Server) -> None:
    tools = [tool["name"] for tool in inspector("tools/list")["tools"]]
    assert tools[:7] == ["task_next", "task_heartbeat", "task_finish", "task_ask", "task_add", "task_list", "task_get"]
    added = inspector.tool("task_add", work_path="/inspected", prompt="Fix it", title="Look")
    task = inspector.tool("task_next", work_path="/inspected", worker_id="inspector", wait_s=0)["task"]
    assert task["id"] == added["id"]
    assert inspector.tool("task_heartbeat", lease=task["lease"], note="on it")["directive"] == "continue"
    assert inspector.tool("task_finish", lease=task["lease"], outcome="done", summary="fixed")["ok"]
    assert inspector.tool("task_list", work_path="/inspected")["tasks"] == [f"{added['id']} completed /inspected Look"]
    assert server.json("show", str(added["id"]))["result"] == {"summary": "fixed"}


def test_it_reads_resources_and_prompts(inspector: Inspector) -> None:
    added = inspector.tool("task_add", work_path="/inspected", prompt="Fix it")
    (content,) = inspector("resources/read", "--uri", f"orchestrator://tasks/{added['id']}")["contents"]
    assert json.loads(content["text"])["status"] == "waiting"
    assert len(inspector("resources/templates/list")["resourceTemplates"]) == 3
    assert [one["name"] for one in inspector("prompts/list")["prompts"]] == ["work_loop", "plan", "diagnose"]
    got = inspector("prompts/get", "--prompt-name", "diagnose", "--prompt-args", f"id={added['id']}")
    assert "Fix it" in got["messages"][0]["content"]["text"]
