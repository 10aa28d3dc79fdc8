"""Real agents that are ended while a command of theirs runs: by a worker that dies, and by who cancels the task."""

import os
import signal
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.acceptance.programs import end
from tests.agents.stage import PATIENCE_SECONDS, Stage
from tests.agents.test_working import each
from tests.agents.turns import Say, Shell

pytestmark = pytest.mark.agents

COMMAND: Final = "sleep 3600 & echo begun > begun; wait"


def begun(directory: Path) -> None:
    """Until the command runs: opening the pipe waits for who writes to it."""
    assert (directory / "begun").read_text() == "begun\n"


@each
def test_a_killed_worker_takes_its_agent_and_its_shell_along(stage: Stage, agent: str) -> None:
    os.mkfifo(stage.directory / "begun")
    stage.model.play(Shell(COMMAND), Say("Done after all."))
    task_id = stage.add("Run it.", max_attempts=2, backoff={"base_seconds": 0, "jitter": 0})
    worker = stage.worker(agent, "--lease-seconds", "6")
    try:
        begun(stage.directory)
        processes = [process for process in stage.left() if process.pid != worker.pid]
        assert any("sleep 3600" in " ".join(process.cmdline()) for process in processes)
        worker.kill()
        worker.wait()
        _, alive = psutil.wait_procs(processes, timeout=6)
        assert alive == []
        assert stage.left() == []
    finally:
        end(worker, signal.SIGKILL)
    (stage.directory / "begun").unlink()
    assert stage.task(task_id)["session_id"]
    again = stage.worker(agent, "--max-tasks", "1")
    try:
        assert again.wait(PATIENCE_SECONDS) == 0
    finally:
        end(again)
    task = stage.task(task_id)
    assert (task["status"], task["result"]["text"]) == ("completed", "Done after all."), stage.log()
    assert "Run it." in str(stage.model.asked[-1])


@each
def test_a_cancelled_task_ends_its_agent_and_its_shell(stage: Stage, agent: str) -> None:
    os.mkfifo(stage.directory / "begun")
    stage.model.play(Shell(COMMAND))
    task_id = stage.add("Run it.")
    worker = stage.worker(agent, "--max-tasks", "1")
    try:
        begun(stage.directory)
        processes = [process for process in stage.left() if process.pid != worker.pid]
        stage.ask("POST", f"/tasks/{task_id}/cancel", {"reason": "no longer needed"})
        assert worker.wait(PATIENCE_SECONDS) == 0
    finally:
        end(worker)
    assert psutil.wait_procs(processes, timeout=0)[1] == []
    assert stage.task(task_id)["status"] == "cancelled"
