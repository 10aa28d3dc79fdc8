"""`orchestrator command import`, against a real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.exits import Exit
from tests.acceptance.programs import Server, serving
from tests.acceptance.told import Told


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


def test_commands_of_others_are_taken_over(server: Server, tmp_path: Path) -> None:
    told = Told(server)
    (tmp_path / "commands.json").write_text(json.dumps([{"name": "Fix Issue", "content": "Fix $1"}, {"name": "none"}]))
    (tmp_path / "more.yaml").write_text("commands:\n  review: {description: Reviews, prompt: 'Review $ARGUMENTS'}\n")
    (tmp_path / "optimize.md").write_text("---\nargument-hint: [file] [how]\n---\nOptimize $ARGUMENTS\n")
    (tmp_path / "broken.yaml").write_text("a: [")
    files = [tmp_path / name for name in ("commands.json", "more.yaml", "optimize.md", "broken.yaml")]
    assert "created" in told("command", "import", files[1], "--dry-run")
    said = told.json("command", "import", *files, code=Exit.FAILED)
    assert [(one["named"], one["fate"]) for one in said] == [
        ("fix-issue", "created"), ("none", "refused"), ("review", "created"), ("optimize", "created"), ("", "refused"),
    ]  # fmt: skip
    assert "'Fix Issue' there" in said[0]["reason"]
    assert "broken.yaml" in said[4]["reason"]
    assert told.json("command", "show", "fix-issue")["body"] == "Fix $1"
    assert told.json("command", "show", "optimize")["settings"] == {"argument-hint": "[file] [how]"}
    (tmp_path / "optimize.md").write_text("Other")
    assert [one["fate"] for one in told.json("command", "import", files[2])] == ["there"]
    assert told.json("command", "show", "optimize")["body"] == "Optimize $ARGUMENTS"
    assert [one["fate"] for one in told.json("command", "import", "--replace", files[2])] == ["replaced"]
    assert told.json("command", "show", "optimize")["body"] == "Other"
