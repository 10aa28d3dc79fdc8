"""Worktrees, requests and functions, in real processes."""

import os
import time
from pathlib import Path

import pytest

from tests.acceptance.test_agents import Scene, completed, parked_for, scene
from tests.unit.worker_client.agent.acting import INIT, done, result, text
from tests.unit.worker_client.checkout import commit, git, repository
from worker_client.contract.enums import ParkReason

__all__ = ["scene"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for the agent")


def test_a_worktree_from_the_first_attempt_to_the_merge(scene: Scene) -> None:
    """A question is answered in the same session and worktree, by another worker; merged, it is removed by a third."""
    scene.work.rmdir()
    repo = repository(scene.work)
    asked = '```ask\n{"question": "Which colour?"}\n```'
    scene.play([INIT, ("write", "half"), text(asked), result(asked)], [*done("It is red."), ("write", "red")])
    with scene.worker("--worktree"):
        task_id = scene.add("Paint it.", spec={"verify": "test -e half -a -e red"})
        scene.until(task_id, parked_for(ParkReason.QUESTION))
    scene.client.answer(task_id, answer="red")
    with scene.worker("--worktree"):
        task = scene.until(task_id, completed)
    first, second = scene.calls
    assert first["argv"][4:6] == ["--session-id", task.session_id]
    assert second["argv"][4:6] == ["--resume", task.session_id]
    about = task.result["worktree"]
    top = Path(about["worktree"])
    assert {attempt.evidence["cwd"] for attempt in scene.client.attempts(task_id).items} == {str(top)}
    assert (about["branch"], about["commits"]) == (f"orchestrator/task-{task_id}", 0)
    assert about["kept"] == "2 files with changes that aren't committed: half, red"
    assert sorted(path.name for path in top.iterdir()) == [".git", ".gitignore", "a", "half", "red", "sub"]
    assert git(repo, "status", "--porcelain") == ""
    assert any(line.text.endswith(f"is kept: {about['kept']}") for line in scene.client.logs(task_id).lines)
    commit(top, "red")
    git(repo, "merge", "--quiet", about["branch"])
    with scene.worker("--worktree"):
        deadline = time.monotonic() + 60
        while top.exists() or git(repo, "branch", "--list", "orchestrator/*"):
            assert time.monotonic() < deadline, (scene.folder / "worker.log").read_text()[-5000:]
            time.sleep(0.05)
    assert (repo / "red").exists()


def test_requests_and_functions(scene: Scene) -> None:
    here = scene.server.url.removeprefix("http://")
    with scene.worker("--kind", "http", "--function", "dump=json:dumps", "--allow-private-addresses", "127.0.0.0/8"):
        where = str(scene.work)
        alive = scene.client.create(
            work_directory=where, kind="http", spec={"url": f"http://{here}/health/live", "expect_text": "status"}
        )
        metadata = scene.client.create(work_directory=where, kind="http", spec={"url": "http://169.254.169.254/"})
        dumped = scene.client.create(work_directory=where, kind="function", spec={"name": "dump", "args": [[1]]})
        other = scene.client.create(work_directory=where, kind="function", spec={"name": "os:system", "args": ["true"]})
        assert scene.until(alive.id, completed).result["status"] == 200
        assert scene.until(dumped.id, completed).result == "[1]"
        refused = scene.until(metadata.id, lambda task: task.status.final)
        assert refused.error is not None
        assert (refused.status, refused.error.type, refused.attempt) == ("failed", "AddressRefused", 1)
        given_back = scene.until(other.id, lambda task: bool(task.reason))
        assert (given_back.attempt, given_back.reason) == (0, "this worker offers no function 'os:system'; it has: dump")
