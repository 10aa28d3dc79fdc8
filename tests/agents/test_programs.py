"""The programs that `make test-agents` installs are there, in the versions that are asked for."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.agents.homes import Home

pytestmark = pytest.mark.agents

PINNED = json.loads((Path(__file__).parent / "package.json").read_text())["dependencies"]
PACKAGES = {
    "claude": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "conformance": "@modelcontextprotocol/conformance",
    "gemini": "@google/gemini-cli",
    "mcp-inspector": "@modelcontextprotocol/inspector",
    "opencode": "opencode-ai",
}


@pytest.mark.parametrize("program", PACKAGES)
def test_a_program_is_of_the_version_that_is_pinned(home: Home, programs: Path, program: str) -> None:
    ran = subprocess.run(
        [str(programs / program), "--version"],
        env=home.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert PINNED[PACKAGES[program]] in ran.stdout
