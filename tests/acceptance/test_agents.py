"""Agents in real processes: server, worker, and a stand-in for the command line that speaks as Claude Code does."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.programs import Server, end, environment, serving
from tests.unit.worker_client.agent import standin
from tests.unit.worker_client.agent.acting import INIT, Step, done, result, text
from worker_client import Client
from worker_client.contract.enums import ParkReason, Status
from worker_client.contract.tasks import Backoff, Task

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for the agent")


class Scene:
    """A server, the directory `work`, and what the agent does in each of its runs."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server, self.client = folder, server, Client(server.url)
        self.work = folder / "work"
        self._played = folder / "played"
        for path in (self.work, self._played):
            path.mkdir()
        program = folder / "claude"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {standin.__file__} {self._played} "$@"\n')
        program.chmod(0o755)
        (folder / "worker.toml").write_text(f'[agents.claude]\nprogram = "{program}"\n')

    def play(self, *runs: list[Step]) -> None:
        for number, steps in enumerate(runs, len(self.calls)):
            (self._played / f"{number}.json").write_text(json.dumps(steps))

    @property
    def calls(self) -> list[dict[str, Any]]:
        calls = self._played / "calls.jsonl"
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def add(self, prompt: str, **facts: Any) -> int:
        backoff = Backoff(base_seconds=0, jitter=0)
        return self.client.create(work_directory=str(self.work), prompt=prompt, backoff=backoff, **facts).id

    def until(self, task_id: int, fits: Callable[[Task], bool]) -> Task:
        """Wait for a task to be so."""
        deadline = time.monotonic() + 60
        while not fits(task := self.client.get(task_id)):
            assert time.monotonic() < deadline, (
                task.parked,
                task.reason,
                task.due_at,
                (self.folder / "worker.log").read_text()[-5000:],
            )
            time.sleep(0.05)
        return task

    @contextlib.contextmanager
    def worker(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        """`orchestrator-worker run --agent claude`."""
        line = [
            "run",
            "--dir",
            str(self.work),
            "--agent",
            "claude",
            "--kind",
            "agent",
            "--config",
            str(self.folder / "worker.toml"),
            *arguments,
        ]
        variables = {**self.server.variables, "ORCHESTRATOR_STATE_DIR": str(self.folder / "state")}
        with (self.folder / "worker.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker_client.cli", *line, "--drain-seconds", "0"],
                env=environment(**variables),
                stderr=log,
            )
        try:
            yield process
        finally:
            end(process)  # type: ignore[arg-type]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with serving(tmp_path) as server:
        scene = Scene(tmp_path, server)
        with scene.client:
            yield scene


def completed(task: Task) -> bool:
    return task.status is Status.COMPLETED


def parked_for(reason: ParkReason) -> Callable[[Task], bool]:
    return lambda task: task.parked is not None and task.parked.reason is reason


def test_a_quota_a_question_and_a_check_that_fails(scene: Scene) -> None:
    """One task through all of it, in one session; only the failed check costs an attempt."""
    limit = ("say", {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": "$SOON"}})
    refused = result("You've hit your limit", is_error=True, api_error_status=429, total_cost_usd=0)
    asked = '```ask\n{"question": "Which colour?", "options": ["red", "blue"]}\n```'
    scene.play(
        [INIT, limit, refused, ("exit", 1)],
        [INIT, text(asked), result(asked)],
        done("It is red."),
        [*done("Now it is."), ("write", str(scene.work / "red"))],
    )
    with scene.worker("--account", "claude=team"):
        task_id = scene.add("Paint it.", spec={"verify": "test -e red || { echo it is still white; exit 1; }"})
        task = scene.until(task_id, parked_for(ParkReason.QUOTA))
        assert task.parked is not None
        assert (task.attempt, task.parked.account, task.agent) == (0, "team", "claude")
        resets = task.parked.until
        assert resets is not None
        task = scene.until(task_id, parked_for(ParkReason.QUESTION))
        assert task.parked is not None
        assert (task.attempt, task.parked.question, task.parked.options) == (0, "Which colour?", ["red", "blue"])
        assert datetime.now(UTC) >= resets
        scene.client.answer(task_id, answer="red")
        task = scene.until(task_id, completed)
    session = task.session_id
    assert task.attempt == 2
    assert task.result == {"text": "Now it is.", "session_id": session, "agent": "claude"}
    first, *others = scene.calls
    assert first["argv"][4:6] == ["--session-id", session]
    assert [call["argv"][4:6] for call in others] == [["--resume", session]] * 3
    assert first["stdin"].startswith("Paint it.")
    assert others[0]["stdin"].startswith("You were interrupted.")
    assert others[1]["stdin"] == "You asked: Which colour?\n\nThe answer: red"
    assert "it is still white" in others[2]["stdin"]
    attempts = scene.client.attempts(task_id).items
    told = [(attempt.outcome, attempt.evidence["outcome"]) for attempt in attempts]
    assert told == [("parked", "quota"), ("parked", "question"), ("failed", "failed"), ("completed", "done")]
    assert {attempt.session_id for attempt in attempts} == {session}
    assert task.usage is not None
    assert (task.usage.input_tokens, task.usage.cost_usd) == (400, 1.5)


def test_who_is_not_logged_in_stops_and_says_so(scene: Scene) -> None:
    scene.play([INIT, result("Not logged in · Please run /login", is_error=True), ("exit", 1)])
    task_id = scene.add("Paint it.")
    with scene.worker() as worker:
        assert worker.wait(60) == 3
    task = scene.client.get(task_id)
    assert (task.status, task.attempt) == (Status.WAITING, 0)
    assert "Please run /login" in (scene.folder / "worker.log").read_text()
    assert len(scene.calls) == 1


def test_a_worker_is_killed_with_its_agent_and_the_session_goes_on(scene: Scene) -> None:
    shell = scene.work / "shell"
    begun: list[Step] = [INIT, text("I begin."), ("spawn", f"echo $$ > {shell}; exec sleep 987"), ("sleep", 987)]
    scene.play(begun, done("It is red."))
    with scene.worker("--lease-seconds", "3") as worker:
        task_id = scene.add("Paint it.")
        session = scene.until(task_id, lambda task: task.session_id is not None and shell.exists()).session_id
        processes = [psutil.Process(int(shell.read_text())), psutil.Process(scene.calls[0]["pid"])]
        worker.kill()
        assert psutil.wait_procs(processes, timeout=10)[1] == []
    with scene.worker():
        task = scene.until(task_id, completed)
    assert (task.attempt, task.session_id) == (2, session)
    assert scene.calls[1]["argv"][4:6] == ["--resume", session]
