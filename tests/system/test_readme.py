"""The commands of the README, as printed, in order, against a server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from orchestrator.cli.exits import Exit
from tests.acceptance.agents import Claude, done
from tests.acceptance.programs import environment, serving

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- run(?: python)? -->\n```(sh|python)\n(.*?)```", re.DOTALL)


@pytest.mark.system
def test_what_the_readme_says_works(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(blocks) == 7
    repository = tmp_path / "shop"
    repository.mkdir()
    author = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    author |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in author.items()}
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Begin"]):
        subprocess.run(["git", *arguments], cwd=repository, env=environment(**author), check=True)
    claude = Claude(tmp_path / "ada", done())
    with serving(tmp_path, "--with-worker", str(repository), **claude.variables) as server:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        variables = environment(ORCHESTRATOR_URL=server.url, PATH=path)

        def run(language: str, text: str) -> None:
            program = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
            ran = subprocess.run(program, cwd=repository, env=variables, capture_output=True, text=True, timeout=60, check=False)
            assert ran.returncode == 0, f"{text}\n{ran.stdout}\n{ran.stderr}"

        for block in blocks[:-1]:
            run(*block)
        shipped = next(task["id"] for task in server.json("list")["items"] if task["title"] == "Ship it")
        assert (
            httpx.get(f"{server.url}/api/v1/tasks/{shipped}/status?wait=50", timeout=60).json()["data"]["status"] == "completed"
        )
        tasks = server.json("list")["items"]
        statuses = {task["title"] or task["prompt"] or task["kind"]: task["status"] for task in tasks}
        ended = ("Fix the flaky test", "What happened lately", "Tidy up", "Ada", "Ship it")
        assert {statuses[title] for title in ended} == {"completed"}
        assert statuses["Refactor the cart"] == "scheduled"
        # The last one makes a key, and so closes the door.
        run(*blocks[-1])
        assert server.run("list").returncode == Exit.FORBIDDEN
