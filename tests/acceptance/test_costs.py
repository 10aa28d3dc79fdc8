"""Budgets on the command line: `add`, `directory` and `costs`, as processes."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from orchestrator.cli.exits import Exit
from tests.acceptance.programs import Server, serving
from worker_client import Client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


def test_a_task_with_a_budget_and_a_session(server: Server, tmp_path: Path) -> None:
    options = ("--dir", str(tmp_path), "--agent", "claude", "--session", "s-1", "--verify", "make test")
    task = server.json("add", "go on", *options, "--budget-usd", "2.5", "--budget-tokens", "9000")
    assert task["spec"] == {
        "agent": "claude", "session_id": "s-1", "verify": "make test", "budget": {"cost_usd": 2.5, "tokens": 9000},
    }  # fmt: skip
    assert task["budget"] == {"cost_usd": 2.5, "tokens": 9000}


def test_directories_are_limited_and_listed(server: Server, tmp_path: Path) -> None:
    here = str(tmp_path.resolve())
    limited = server.json("directory", "set", here, "--daily-cost", "10", "--daily-attempts", "20", "--max-running", "2")
    assert (limited["daily_cost_usd"], limited["daily_attempts"], limited["max_running"]) == (10, 20, 2)
    paused = server.json("directory", "set", here, "--daily-cost", "none", "--pause", "--reason", "release day")
    assert (paused["daily_cost_usd"], paused["daily_attempts"], paused["paused"]) == (None, 20, True)
    shown = server.run("directory", "list", "--dir", here).stdout
    assert all(words in shown for words in (here, "paused: release day", "20"))
    assert server.json("directory", "set", here, "--resume")["paused"] is False
    assert server.run("directory", "set", here, "--daily-tokens", "many").returncode == Exit.USAGE
    assert "no directories" in server.run("directory", "list", "--dir", "/nowhere").stdout


def test_costs_are_summed_up(server: Server, tmp_path: Path) -> None:
    here = str(tmp_path.resolve())
    assert "nothing was used" in server.run("costs", "--dir", here).stdout
    with Client(server.url) as client:
        client.create(prompt="p", work_directory=here, tags=["night"])
        task = client.claim(work_path=[here], worker_id="w", wait=0)
        assert task is not None
        client.complete(task.id, lease=task.lease, usage={"cost_usd": 1.25, "input_tokens": 1234, "model": "opus"})  # type: ignore[arg-type]
    shown = server.run("costs", "--dir", here, "--by", "model", "--by", "day").stdout
    assert all(words in shown for words in ("opus", "1,234", "$1.25", "DAY (UTC)"))
    assert server.json("costs", "--dir", here, "--since", "2000-01-01", "--until", str(date.max))["items"][0]["attempts"] == 1
    shown = server.run("costs", "--dir", here, "--by", "tag", "--tag", "night", "--most").stdout
    assert all(words in shown for words in ("TAG", "night", "$1.25"))
    assert server.run("costs", "--since", "yesterday").returncode == Exit.USAGE
    assert "$1.25" in server.run("stats").stdout
