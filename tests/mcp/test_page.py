"""docs/mcp.md: what is to be copied from it is whole, and it names what there is."""

import json
import re
import shlex
import tomllib
from pathlib import Path

from orchestrator.cli import main
from orchestrator.mcp.prompts import PROMPTS
from orchestrator.mcp.resources import RESOURCES
from orchestrator.mcp.server import TOOLS

PAGE = (Path(__file__).parents[2] / "docs/mcp.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_configurations_can_be_read() -> None:
    toml = [tomllib.loads(block)["mcp_servers"]["orchestrator"] for block in blocks("toml")]
    found = [*toml, *(next(iter(json.loads(block).values()))["orchestrator"] for block in blocks("json"))]
    over_http = [one["url"] for one in found if "url" in one]
    over_stdio = [(one["command"], one["args"]) for one in found if "url" not in one]
    assert over_http == ["http://127.0.0.1:8080/mcp"] * 3
    assert over_stdio == [("orchestrator", ["mcp"])] * 3


def test_the_commands_name_what_is_there() -> None:
    (block,) = blocks("sh")
    added = [shlex.split(line) for line in block.splitlines()]
    assert [line[:3] for line in added] == [["claude", "mcp", "add"]] * 3
    local, elsewhere, started = (line[3:] for line in added)
    assert local == ["--transport", "http", "orchestrator", "http://127.0.0.1:8080/mcp"]
    assert elsewhere[:4] == [*local[:3], "https://tasks.example.org/mcp"]
    assert elsewhere[4:] == ["--header", "Authorization: Bearer $ORCHESTRATOR_API_KEY"]
    name, dashes, program, *command = started
    assert (name, dashes, program) == ("orchestrator", "--", "orchestrator")
    assert set(command) <= main.commands.keys()


def test_all_that_there_is_is_named() -> None:
    named = re.findall(r"(?m)^\| (`(?:task_|schedule_|advice).*?) \| .+ \| `(\w+)` \|$", PAGE)
    rows = {tool: scope for tools, scope in named for tool in tools.split(", ")}
    assert rows == {f"`{tool.name}`": str(tool.scope) for tool in TOOLS.values()}
    assert [one for one in (*(resource.uri for resource in RESOURCES), *PROMPTS) if f"`{one}`" not in PAGE] == []
