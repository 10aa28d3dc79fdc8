"""The real agents, told by a scripted model what to do, add a task through MCP, take it and finish it."""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.programs import ROOT, command
from tests.agents.stage import Stage
from tests.agents.turns import Say, Turn, Use

pytestmark = pytest.mark.agents

PATIENCE_S: Final = 120
NAME: Final = "orchestrator"


def script(directory: Path) -> list[Turn]:
    """Add a task, take it, finish it."""
    return [
        Use("task_add", {"work_path": str(directory), "prompt": "Made by an agent"}, NAME),
        Use("task_next", {"work_path": str(directory), "worker_id": "agent-1"}, NAME),
        Use("task_finish", {"lease": "{lease}", "outcome": "done", "summary": "finished by an agent"}, NAME),
        Say("All is done."),
    ]


def claude(stage: Stage, way: str) -> list[str]:
    """As `claude mcp add` writes it down."""
    line = command("mcp")
    servers = {
        "http": {"type": "http", "url": f"{stage.server.url}/mcp"},
        "stdio": {"type": "stdio", "command": line[0], "args": line[1:], "env": variables(stage)},
    }
    config = json.dumps({"mcpServers": {NAME: servers[way]}})
    options = ["--mcp-config", config, "--strict-mcp-config", "--permission-mode", "dontAsk", "--allowedTools", f"mcp__{NAME}"]
    return ["claude", "-p", "Work.", "--output-format", "stream-json", "--verbose", *options]


def codex(stage: Stage, way: str) -> list[str]:
    """As docs/mcp.md has it; and the first request to the model waits for the server."""
    line = command("mcp")
    environment = ", ".join(f"{name} = {json.dumps(value)}" for name, value in variables(stage).items())
    ways = {
        "http": f'url = "{stage.server.url}/mcp"',
        "stdio": f"command = {json.dumps(line[0])}\nargs = {json.dumps(line[1:])}\nenv = {{ {environment} }}",
    }
    config = stage.home.path / ".codex/config.toml"
    config.write_text(f"{config.read_text()}\n[mcp_servers.{NAME}]\nrequired = true\n{ways[way]}\n")
    return ["codex", "exec", "--json", "--skip-git-repo-check", "-s", "workspace-write", "Work."]


def variables(stage: Stage) -> dict[str, str]:
    return {**stage.server.variables, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("agent", [claude, codex], ids=["claude", "codex"])
def test_an_agent_adds_takes_and_finishes_a_task(stage: Stage, agent: object, way: str) -> None:
    # Claude Code connects to its servers while the model begins, and has a tool to wait for them.
    first = [Use("WaitForMcpServers", {})] if agent is claude else []
    stage.model.play(*first, *script(stage.directory))
    line = claude(stage, way) if agent is claude else codex(stage, way)
    ran = subprocess.run(
        line, env=stage.home.environment, cwd=stage.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (task,) = stage.ask("GET", "/tasks")["items"]
    assert (task["prompt"], task["status"], task["worker_id"]) == ("Made by an agent", "completed", "agent-1"), ran.stdout
    assert task["result"] == {"summary": "finished by an agent"}
    # What the model was told of its task came from the queue.
    assert "lease_s" in str(stage.model.asked[-1])
